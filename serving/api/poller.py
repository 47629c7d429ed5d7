"""What the server knows at the moment: a thread looks at Redis, everything else answers from what it saw.

However many clients there are, Redis is asked once for each movement of the numbers. When Redis is away the reason is
kept, and the thread goes on trying: nothing else has to recover.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from redis import Redis, RedisError

from conf.addresses import RedisUrl
from conf.errors import ExplainedError
from serving.aggregates import AGGREGATES_REPLIES, Aggregates, parse_aggregates, queue_aggregates
from serving.api.redis_clients import connect
from serving.as_of import AsOf
from serving.atomic_read import NoStatisticsError, read_atomically
from serving.history import parse_batches, parse_counters, parse_growth
from serving.top_words import TOP_WORDS_REPLIES, TopWords, parse_top_words, queue_top_words, read_top_words
from serving.vocabulary_snapshot import VocabularySnapshot, read_vocabulary_snapshot
from sinks.keys import Keys, batches_key, counters_key, growth_key, status_key

log = logging.getLogger("wetstream")

SNAPSHOT_EVERY_S = 3.0
# A snapshot of a large vocabulary costs more, and so does a look at very many sources: either may take this share of a
# core, and is then had less often.
SNAPSHOT_SHARE = 0.15
LOOK_SHARE = 0.25
BATCHES_SHOWN = 120
AWAY_WAIT_S = 0.5


class Sources(Protocol):
    """What the producers say of their sources; `version` changes with it."""

    version: int

    def ledger(self, counted: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """The sources as counted, with what was produced of each."""
        ...


@dataclass(frozen=True)
class LiveState:
    """One look at Redis. Without `reading`, `missing` says why: nothing is counted yet; `away`: Redis is away.

    `ranking` is there when somebody asked for it since the look before. `copied`: when the last snapshot of the
    vocabulary was complete.
    """

    version: str = ""
    reading: Aggregates | None = None
    ranking: TopWords | None = None
    missing: str = ""
    away: str = "the server has just started"
    since: float = field(default_factory=time.time)
    stream: Mapping[str, Any] = field(default_factory=dict)
    sources: Sequence[Mapping[str, Any]] = ()
    batches: Sequence[Mapping[str, Any]] = ()
    growth: Sequence[Mapping[str, Any]] = ()
    counters: Mapping[str, float] = field(default_factory=dict)
    copied: float | None = None
    redis_bytes: int = 0


class StatisticsPoller:
    """Holds the last `state` and `snapshot`; calls `on_change` (from its thread) when the state has changed.

    `find` gives the URL of the Redis that is to be used now; it is called again after each failure, since an embedded
    server may come back on another port.
    """

    def __init__(
        self, find: Callable[[], RedisUrl], pipeline: str, sources: Sources, *, refresh_s: float = 0.25
    ) -> None:
        self._find = find
        self.pipeline = pipeline
        self._sources = sources
        self._refresh_s = refresh_s
        self._stop = threading.Event()
        self._client: Redis | None = None
        self._url = RedisUrl("")
        self.state = LiveState()
        self.snapshot: VocabularySnapshot | None = None
        self._ranking: tuple[str, TopWords] | None = None
        self._ranking_lock = threading.Lock()
        self._ranking_wanted = False
        self.on_change: list[Callable[[LiveState], None]] = []
        self._threads = [
            threading.Thread(target=work, name=f"wetstream-{name}", daemon=True)
            for name, work in (("live", self._look), ("snapshot", self._copy))
        ]

    @property
    def keys(self) -> Keys | None:
        """The keys that were live when last looked."""
        reading = self.state.reading
        return reading.keys if reading else None

    @property
    def url(self) -> RedisUrl:
        """Where the Redis is that answers now. Raises RedisError when it is away."""
        if self._client is None:
            raise RedisError(self.state.away)
        return self._url

    def ranking_at_hand(self, state: LiveState) -> TopWords | None:
        """The most frequent words if they have been read for this state; the next look will bring them along."""
        self._ranking_wanted = True
        if state.ranking is None and self._ranking is not None and state.reading is not None:
            version, ranking = self._ranking
            return ranking if version == state.reading.as_of.version else None
        return state.ranking

    def ranking(self, version: str) -> TopWords:
        """The most frequent words, read once for each version of the state, however many ask. Raises RedisError."""
        with self._ranking_lock:
            if self._ranking is None or self._ranking[0] != version:
                if self._client is None:
                    raise RedisError(self.state.away)
                self._ranking = version, read_top_words(self._client, self.pipeline, self.keys)
            return self._ranking[1]

    def start(self) -> None:
        """Look once, then go on looking."""
        self._try()
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End both threads."""
        self._stop.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(5.0)

    def _look(self) -> None:
        wait_s = self._refresh_s
        while not self._stop.wait(AWAY_WAIT_S if self.state.away else wait_s):
            worked = time.thread_time()
            self._try()
            wait_s = max(self._refresh_s, (time.thread_time() - worked) / LOOK_SHARE)

    def _try(self) -> None:
        old = self.state
        try:
            if self._client is None:
                self._url = self._find()
                self._client = connect(self._url)
            new = self._state(self._client, old)
        except NoStatisticsError as error:
            new = LiveState(version="missing", missing=str(error), away="")
        except (RedisError, ExplainedError, OSError) as error:
            self._client = None
            reason = (str(error) or type(error).__name__).splitlines()[0]
            new = replace(old, away=reason, version=f"away {reason}")
        if (new.version, new.away) != (old.version, old.away):
            if bool(new.away) != bool(old.away):
                new = replace(new, since=time.time())
                if old.version:
                    log.warning("Redis is away: %s", new.away) if new.away else log.warning("Redis answers again")
            self.state = new
            for tell in self.on_change:
                tell(new)

    def _state(self, client: Redis, old: LiveState) -> LiveState:
        keys, as_of, (told,) = read_atomically(client, self.pipeline, self._ask_told, self.keys)
        if self._version(as_of, told) == old.version and not old.away:
            return old

        with_ranking, self._ranking_wanted = self._ranking_wanted, False

        def ask(pipe: Any, keys: Keys) -> None:
            if with_ranking:
                queue_top_words(pipe, keys)
            self._ask_told(pipe, keys)
            pipe.lrange(batches_key(self.pipeline), 0, BATCHES_SHOWN - 1)
            pipe.lrange(growth_key(self.pipeline), 0, -1)
            pipe.hgetall(counters_key(self.pipeline))
            pipe.info("memory")
            queue_aggregates(pipe, keys)

        keys, as_of, replies = read_atomically(client, self.pipeline, ask, keys)
        ranking = None
        if with_ranking:
            ranking, replies = parse_top_words(keys, as_of, replies[:TOP_WORDS_REPLIES]), replies[TOP_WORDS_REPLIES:]
        told, batches, growth, counters, memory = replies[:-AGGREGATES_REPLIES]
        reading = parse_aggregates(keys, as_of, replies[-AGGREGATES_REPLIES:])
        reading.prepare()
        return LiveState(
            version=self._version(as_of, told),
            reading=reading,
            ranking=ranking,
            away="",
            since=old.since,
            stream=_stream(told, as_of),
            sources=self._sources.ledger(reading.sources),
            batches=parse_batches(batches),
            growth=parse_growth(growth, reading.totals),
            counters=parse_counters(counters),
            copied=self.snapshot.taken if self.snapshot else None,
            redis_bytes=int(memory.get("used_memory", 0)),
        )

    def _ask_told(self, pipe: Any, keys: Keys) -> None:
        pipe.hgetall(status_key(self.pipeline))

    def _version(self, as_of: AsOf, told: Mapping[bytes, bytes]) -> str:
        copied = self.snapshot.taken if self.snapshot else None
        return f"{as_of.version}-{self._sources.version}-{told.get(b'records_per_s', b'').decode()}-{copied}"

    def _copy(self) -> None:
        """Take a snapshot whenever the numbers have moved since the last one."""
        wait_s = 0.05
        while not self._stop.wait(wait_s):
            wait_s = SNAPSHOT_EVERY_S
            reading, client = self.state.reading, self._client
            if reading is None or client is None:
                wait_s = 0.2
                continue
            if self.snapshot is not None and self.snapshot.settled and _same(self.snapshot, reading):
                wait_s = 0.5
                continue
            worked = time.thread_time()
            try:
                snapshot = read_vocabulary_snapshot(client, self.pipeline)
            except (RedisError, NoStatisticsError):
                continue
            snapshot.prepare()
            self.snapshot = snapshot
            wait_s = max(SNAPSHOT_EVERY_S, (time.thread_time() - worked) / SNAPSHOT_SHARE)


def _same(snapshot: VocabularySnapshot, reading: Aggregates) -> bool:
    here, there = snapshot.as_of.answer, reading.as_of.answer
    return (here["positions"], here["time"]) == (there["positions"], there["time"]) and not there["applying"]


def _stream(told: Mapping[bytes, bytes], as_of: AsOf) -> dict[str, Any]:
    """What the stream says of itself: {streaming, lag, records_per_s, partitions: {partition: lag}}."""
    running = as_of.answer["streaming"]
    return {
        "streaming": running,
        "lag": as_of.answer["lag"],
        "records_per_s": float(told.get(b"records_per_s", 0)) if running else 0.0,
        "partitions": json.loads(told.get(b"partitions", b"{}")) if running else {},
    }
