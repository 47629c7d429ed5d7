"""Everything the HTTP server answers from, as of one read of Redis."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from redis import Redis

from serving.aggregates import AGGREGATES_REPLIES, Aggregates, parse_aggregates, queue_aggregates
from serving.answers.sources import Batch, GrowthPoint, Source, SourceCounts
from serving.as_of import Instant, finite, stream_lag
from serving.atomic_read import read_atomically
from serving.history import observations_explained, parse_batches, parse_counters, parse_growth
from serving.top_words import TOP_WORDS_REPLIES, TopWords, parse_top_words, queue_top_words
from sinks.keys import Keys, batches_key, counters_key, growth_key, status_key

BATCHES_SHOWN = 120


class SourceLedger(Protocol):
    """What the producers report of their sources; `version` changes with it."""

    version: int

    def ledger(self, counted: Sequence[SourceCounts], positions: Mapping[str, int]) -> list[Source]:
        """Return the counted sources with what was produced of each."""
        ...

    def lag_by_partition(self, position: Mapping[str, int]) -> dict[str, int]:
        """Return how many offsets wait in each partition of the records topic, by the broker; {} without one."""
        ...


@dataclass(frozen=True)
class StreamStatus:
    """What the running stream reports of itself; zeros when none is running.

    `lag_by_partition` counts offsets that wait in the topic.
    """

    streaming: bool = False
    lag: int | None = None
    records_per_s: float = 0.0
    lag_by_partition: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the status as events carry it."""
        return {
            "streaming": self.streaming,
            "lag": self.lag,
            "records_per_s": self.records_per_s,
            "partitions": self.lag_by_partition,
        }


@dataclass(frozen=True)
class LiveState:
    """One read of Redis.

    Attributes:
        version: Changes whenever anything here does.
        aggregates: The statistics except the words; None before anything has been counted.
        top_words: The ranked words, if somebody asked for them since the read before.
        missing: Why there are no statistics; empty if there are.
        unavailable: Why the last read failed (the rest is then older); empty if it did not.
        since: When `unavailable` last became empty or stopped being so, Unix seconds.
        stream: What the running stream reports of itself.
        broker_lag: Offsets that wait in each partition, by the broker, also while no stream runs.
        sources: Sources from file to statistics.
        batches: The last micro-batches, newest first.
        growth: Growth of the vocabulary.
        counters: Sums over all observed micro-batches.
        snapshot_taken: When the last vocabulary snapshot was complete, Unix seconds.
        redis_bytes: Memory that Redis uses.
    """

    version: str = ""
    aggregates: Aggregates | None = None
    top_words: TopWords | None = None
    missing: str = ""
    unavailable: str = "the server has just started"
    since: float = field(default_factory=time.time)
    stream: StreamStatus = StreamStatus()
    broker_lag: Mapping[str, int] = field(default_factory=dict)
    sources: Sequence[Source] = ()
    batches: Sequence[Batch] = ()
    growth: Sequence[GrowthPoint] = ()
    counters: Mapping[str, float] = field(default_factory=dict)
    snapshot_taken: float | None = None
    redis_bytes: int = 0


def read_live_state(
    client: Redis,
    pipeline: str,
    ledger: SourceLedger,
    old: LiveState,
    *,
    snapshot_taken: float | None,
    with_top_words: bool,
) -> LiveState:
    """Read everything if anything has changed since `old`; otherwise return `old`.

    Raises:
        NoStatisticsError: Nothing has been counted yet.
        CorruptStatisticsError: Redis holds something that wetstream did not write.
        RedisError: Redis does not answer.
    """

    def version_of(instant: Instant, status: Mapping[bytes, bytes]) -> str:
        rate = status.get(b"records_per_s", b"").hex()
        return f"{instant.version}-{ledger.version}-{rate}-{snapshot_taken}"

    status = status_key(pipeline)
    keys = old.aggregates.keys if old.aggregates else None
    keys, instant, (reported,) = read_atomically(client, pipeline, lambda pipe, _: pipe.hgetall(status), keys)
    if version_of(instant, reported) == old.version and not old.unavailable:
        return old

    def queue(pipe: Any, keys: Keys) -> None:
        pipe.hgetall(status)
        pipe.lrange(batches_key(pipeline), 0, BATCHES_SHOWN - 1)
        pipe.lrange(growth_key(pipeline), 0, -1)
        pipe.hgetall(counters_key(pipeline))
        pipe.info("memory")
        queue_aggregates(pipe, keys)
        if with_top_words:
            queue_top_words(pipe, keys)

    keys, instant, replies = read_atomically(client, pipeline, queue, keys)
    top_words = None
    if with_top_words:
        top_words = parse_top_words(keys, instant, replies[-TOP_WORDS_REPLIES:])
        replies = replies[:-TOP_WORDS_REPLIES]
    reported, batches, growth, counters, memory = replies[:-AGGREGATES_REPLIES]
    aggregates = parse_aggregates(keys, instant, replies[-AGGREGATES_REPLIES:])
    _ = aggregates.length_summary  # computed here, so that no request has to wait for it
    return LiveState(
        version=version_of(instant, reported),
        aggregates=aggregates,
        top_words=top_words,
        unavailable="",
        since=old.since,
        stream=_stream_status(status, reported, instant),
        broker_lag=ledger.lag_by_partition(instant.as_of["positions"]),
        sources=ledger.ledger(aggregates.sources, instant.as_of["positions"]),
        batches=parse_batches(batches_key(pipeline), batches),
        growth=parse_growth(growth_key(pipeline), growth, aggregates.totals),
        counters=parse_counters(counters_key(pipeline), counters),
        snapshot_taken=snapshot_taken,
        redis_bytes=int(memory.get("used_memory", 0)),
    )


def _stream_status(key: str, reported: Mapping[bytes, bytes], instant: Instant) -> StreamStatus:
    if not instant.as_of["streaming"]:
        return StreamStatus()
    with observations_explained(key):
        lags = stream_lag(reported, instant.as_of["positions"])
        return StreamStatus(
            streaming=True,
            lag=instant.as_of["lag"],
            records_per_s=finite(reported.get(b"records_per_s", 0)),
            lag_by_partition=lags or {},
        )
