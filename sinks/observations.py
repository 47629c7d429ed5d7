"""Metrics of the running stream: its last micro-batches, its lag, the growth of the vocabulary.

These are for people and monitoring. They are not part of the statistics and no guarantee depends on them, so errors of
Redis are ignored. All of them are bounded in size.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, cast

from redis import Redis, RedisError

from sinks.keys import Keys, batches_key, counters_key, growth_key, status_key
from sinks.statistics.stored import parse_int

log = logging.getLogger("wetstream")

BATCHES_KEPT = 500
STATUS_TTL_S = 30
ALIVE_EVERY_S = 2.0
# The end of the topic is published as often as it changes, but no more often than this.
ENDS_EVERY_S = 0.5
# One point of the growth curve for every 2 % more tokens, that is 35 for each doubling.
GROWTH_STEP = 1.02
GROWTH_KEPT = 5_000


@dataclass(frozen=True, slots=True)
class BatchMetrics:
    """Metrics of a committed micro-batch.

    Attributes:
        rows: Documents rows.
        documents: Documents kept.
        payload_bytes: Size of the records' payloads.
        words: Distinct words in its commit to Redis.
        files: Files written to the documents table.
        file_bytes: Their size.
        table_s: Seconds for the commit to the documents table.
        redis_s: Seconds for the commit to Redis; its share, if the commit contained several micro-batches.
    """

    rows: int
    documents: int
    payload_bytes: int
    words: int
    files: int
    file_bytes: int
    table_s: float
    redis_s: float


class Observer:
    """Publishes the metrics of a pipeline. The writer's thread calls `committed`, one other thread everything else."""

    def __init__(self, client: Redis, pipeline: str) -> None:
        self._client = client
        self._pipeline = pipeline
        # By number of the micro-batch: metrics from the writer and the report from Spark, until both are there.
        self._commits: dict[int, BatchMetrics] = {}
        self._reports: dict[int, dict[str, Any]] = {}
        self._compactions: dict[int, float] = {}
        self._said = 0.0
        self._ends: dict[str, int] = {}
        self._keys: Keys | None = None
        self._last_tokens = 0
        self._generation = ""

    def begin(self, keys: Keys, generation: str) -> None:
        """A query starts, which writes the statistics with these keys."""
        self._keys = keys
        self._commits.clear()
        self._reports.clear()
        self._compactions.clear()
        self._said = 0.0
        self._ends = {}
        try:
            self._begin_growth(generation)
        except RedisError:
            return

    def committed(self, number: int, metrics: BatchMetrics) -> None:
        """The micro-batch with this number (of Spark's) is committed to the documents table and to Redis."""
        self._commits[number] = metrics

    def compacted(self, number: int, seconds: float) -> None:
        """The documents table was compacted after this micro-batch; called before Spark reports it."""
        self._compactions[number] = seconds

    def alive(self, ends: Mapping[str, int] | None = None) -> None:
        """The stream is running, even if nothing arrives; called often.

        Args:
            ends: Where the topic ends, by partition key as in a position; empty or None if that is not known. Readers
                compute the lag from it and the position of the statistics that they read with it.
        """
        self._pair()
        silent_s = time.monotonic() - self._said
        if ends and ends != self._ends and silent_s >= ENDS_EVERY_S:
            self._ends = dict(ends)
            self._say({"ends": json.dumps(self._ends)})
        elif silent_s >= ALIVE_EVERY_S:
            self._say({})

    def progress(
        self,
        number: int,
        *,
        rows: int,
        rows_per_s: float,
        lag: int,
        seconds: Mapping[str, float],
    ) -> None:
        """Spark has reported the micro-batch with this number; it had no data if `rows` is 0."""
        self._say({"records_per_s": round(rows_per_s, 1)})
        if rows:
            phases = {name: round(s, 3) for name, s in seconds.items()}
            entry = {"at": round(time.time(), 3), "rows": rows, "rows_per_s": round(rows_per_s, 1), "lag": lag}
            self._reports[number] = {**entry, "seconds": phases}
        self._pair()

    def gone(self) -> None:
        """The stream has ended."""
        self._pair()
        try:
            self._client.hset(status_key(self._pipeline), "at", "0")
        except RedisError:
            return

    def _say(self, news: Mapping[str, Any]) -> None:
        self._said = time.monotonic()
        try:
            pipe = self._client.pipeline()
            key = status_key(self._pipeline)
            pipe.hset(key, mapping={name: str(value) for name, value in {**news, "at": time.time()}.items()})
            pipe.expire(key, STATUS_TTL_S)
            pipe.execute()
        except RedisError:
            return  # the writer itself notices that Redis is away

    def _pair(self) -> None:
        """Publish the reports whose micro-batch is committed; Spark may report it before Redis is done."""
        for number in sorted(set(self._commits) & self._reports.keys()):
            commit, entry = self._commits.pop(number), self._reports.pop(number)
            compact_s = self._compactions.pop(number, 0.0)
            for half in (self._commits, self._reports, self._compactions):
                for lost in [other for other in list(half) if other < number]:
                    del half[lost]
            known = {**asdict(commit), "compact_s": compact_s}
            for phase in ("table", "redis", "compact"):
                entry["seconds"][phase] = round(known.pop(f"{phase}_s"), 3)
            try:
                self._publish({**entry, **known})
                self._observe_growth()
            except RedisError:
                return

    def _publish(self, entry: Mapping[str, Any]) -> None:
        pipe = self._client.pipeline()
        pipe.lpush(batches_key(self._pipeline), json.dumps(entry, separators=(",", ":")))
        pipe.ltrim(batches_key(self._pipeline), 0, BATCHES_KEPT - 1)
        counters = counters_key(self._pipeline)
        pipe.hincrby(counters, "batches", 1)
        for name in ("rows", "documents", "payload_bytes", "files", "file_bytes"):
            pipe.hincrby(counters, name, entry.get(name, 0))
        for phase, seconds in entry["seconds"].items():
            pipe.hincrbyfloat(counters, f"seconds\t{phase}", seconds)
        pipe.execute()

    def _begin_growth(self, generation: str) -> None:
        """Continue the growth curve of this generation; a curve of another one is deleted."""
        key = growth_key(self._pipeline)
        found, tokens = self._last_point()
        if found != generation:
            self._client.delete(key)
            tokens = 0
        self._generation, self._last_tokens = generation, tokens

    def _last_point(self) -> tuple[str, int]:
        """Generation and tokens of the last point of the growth curve; "" and 0 if there is none."""
        key = growth_key(self._pipeline)
        last = cast("bytes | None", self._client.lindex(key, -1))
        if last is None:
            return "", 0
        try:
            point = json.loads(last)
            return str(point["generation"]), int(point["tokens"])
        except (ValueError, KeyError, TypeError):
            log.warning("Redis key %s held something that is no point of the growth curve: it starts again", key)
            self._client.delete(key)
            return "", 0

    def _observe_growth(self) -> None:
        if self._keys is None:
            return
        pipe = self._client.pipeline(transaction=True)
        pipe.hmget(self._keys.totals, ["tokens", "words", "documents"])
        pipe.exists(self._keys.commit)
        counts, applying = pipe.execute()
        names = ("tokens", "words", "documents")
        tokens, words, documents = (parse_int(self._keys.totals, *field) for field in zip(names, counts, strict=True))
        if applying or not tokens:
            return
        key = growth_key(self._pipeline)
        while tokens < self._last_tokens:
            # A source was removed: the curve continues from what is left.
            self._client.rpop(key)
            _, self._last_tokens = self._last_point()
        if tokens < self._last_tokens * GROWTH_STEP:
            return
        point = {"time": round(time.time(), 3), "tokens": tokens, "words": words, "documents": documents}
        pipe = self._client.pipeline()
        pipe.rpush(key, json.dumps({**point, "generation": self._generation}, separators=(",", ":")))
        pipe.ltrim(key, -GROWTH_KEPT, -1)
        pipe.execute()
        self._last_tokens = tokens
