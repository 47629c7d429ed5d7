"""The writer of a pipeline: documents table first, then statistics, each record once, whatever is killed.

Start, and start again after any error: take the lease, open the documents table, bring Redis to the table's positions,
and read the topic from exactly there. A micro-batch is one Spark action, one commit to the table, one commit to Redis;
the latter goes on while Spark reads the next one. If the process dies between the two commits, the next start finds
Redis behind the table and heals it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession
from redis import Redis, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError

from conf.addresses import BootstrapServers
from conf.profiles import Profile, load_profile
from conf.settings import Settings
from producers.topic.markers import check_contract
from producers.topic.offsets import first_offsets
from producers.topic.topics import Topic, TopicError, describe_topic
from sinks.documents.generations import Generation, Generations
from sinks.documents.log import DocumentsError, FencedError, partition_key
from sinks.documents.table import Documents
from sinks.keys import lease_key, replay_lease_key
from sinks.lease import Lease, LeaseError
from sinks.observations import Observer
from sinks.position import Position
from sinks.removal import finish_removal, remove_sources
from sinks.requests import Request, answer_request, take_request
from sinks.statistics.builds import open_builds
from sinks.statistics.errors import NotInStepError, StatisticsError
from sinks.statistics.store import Statistics
from sinks.statistics.sums import Sums
from streaming.batch_committer import BatchCommitter
from streaming.errors import StreamError
from streaming.fused import TaskConfig
from streaming.query import BatchProgress, Query, collects_directly, drop_old_checkpoints, read_progress, read_topic
from streaming.session import shuffle_partitions
from streaming.statistics_committer import StatisticsCommitter

log = logging.getLogger("wetstream")

POLL_S = 0.1
# Errors that end the stream, but for those that starting again from the stored positions mends.
FINAL = (LeaseError, DocumentsError, StatisticsError, StreamError)
AGAIN = (FencedError, NotInStepError)


class GenerationSwitchedError(Exception):
    """The live generation is another one now: what this micro-batch holds, that one reads itself."""


@dataclass(frozen=True, slots=True)
class Connections:
    """The servers of a run and its Spark session."""

    bootstrap_servers: BootstrapServers
    redis: Redis
    spark: SparkSession


class Stream:
    """Runs one pipeline until stopped, or to the end of the topic.

    `on_progress` is called for every micro-batch from the thread that called `run`. `into`: fill this generation, which
    is not live, beside the stream that may be running (a replay); its profile must be the given one.
    """

    def __init__(
        self,
        settings: Settings,
        profile: Profile,
        connections: Connections,
        *,
        on_progress: Callable[[BatchProgress], None] = lambda progress: None,
        into: str | None = None,
    ) -> None:
        self._into = into
        self._generation: str | None = None
        self._settings = settings
        self._profile = profile
        self._connections = connections
        self._on_progress = on_progress
        self._observer = Observer(connections.redis, settings.pipeline) if into is None else None
        self._generations = Generations(settings.documents_path, settings.pipeline)
        self._stop = threading.Event()
        self._until: dict[int, int] | None = None
        self._error: Exception | None = None
        self._go_on = False

    def stop(self) -> None:
        """End after the current micro-batch. Safe in a signal handler and from another thread."""
        self._stop.set()

    def stop_at(self, ends: Mapping[int, int]) -> None:
        """End when all offsets below `ends` (by partition) are processed."""
        self._until = dict(ends)

    def run(self, *, once: bool = False) -> None:
        """Process the topic. Raises StreamError, LeaseError, DocumentsError or StatisticsError when it cannot go on."""
        redis, limit = self._connections.redis, self._settings.stream
        name = lease_key(self._settings.pipeline) if self._into is None else replay_lease_key(self._settings.pipeline)
        lease = Lease(redis, name, lease_s=limit.lease_s)
        self._retrying(lease.acquire)
        try:
            drop_old_checkpoints(self._checkpoints)
            failed_since: float | None = None
            while not self._stop.is_set():
                moved = self._run_query(lease, once=once)
                if self._error is None:
                    if self._go_on:
                        continue
                    return
                if isinstance(self._error, GenerationSwitchedError):
                    continue
                failed_since = time.monotonic() if failed_since is None or moved else failed_since
                if time.monotonic() - failed_since > limit.retry_s:
                    raise StreamError(
                        f"gave up after {limit.retry_s:.0f} s (stream.retry_s): {explain(self._error)}. Nothing is "
                        "lost: start the stream again when the cause is gone"
                    ) from self._error
                log.warning("micro-batch dropped, going on from the stored positions: %s", explain(self._error))
                self._stop.wait(1.0)
        finally:
            lease.release()
            if self._observer is not None:
                self._observer.gone()

    def _run_query(self, lease: Lease, *, once: bool) -> bool:
        """One query from the stored positions on; returns whether it has committed anything. Its error is in _error."""
        self._error, self._go_on = None, False
        topic = self._topic()
        builds = open_builds(self._settings, self._connections.redis)
        self._retrying(lambda: builds.check_owner(self._generations))
        generation = self._open()
        documents = generation.documents
        if "topic_id" not in documents.properties:
            self._retrying(lambda: check_contract(self._settings, self._connections.bootstrap_servers))
        documents.bind_topic(topic.name, topic.id, topic.partitions)
        # A removal that was decided and cut off; Redis, which has not seen it, is then counted anew.
        finish_removal(documents, compression_level=self._settings.documents.compression_level)
        position = documents.position()
        live = self._into is None
        statistics = self._retrying(lambda: builds.catch_up(generation, position, live=live))
        if self._observer is not None:
            self._observer.begin(statistics.keys, generation.name)

        def commit(sums: Sums, start: Position, finish: Position) -> None:
            self._retrying(lambda: statistics.commit(sums, start, finish))

        def check() -> None:
            lease.check()
            if self._is_switched():
                raise GenerationSwitchedError("another generation is the live one now")

        behind = StatisticsCommitter(commit, position, deferred=not live)
        committer = BatchCommitter(self._settings.documents, topic, documents, position, behind, check, self._observer)
        compression_level = self._settings.documents.compression_level
        # Spark reads a partition by one task, or cuts it where there are fewer than it may use.
        direct = collects_directly(max(topic.partitions, shuffle_partitions(self._settings)))
        job = TaskConfig(self._profile, documents.path, compression_level, tuple(documents.exclusions()), direct)
        starting = {number: position.get(partition_key(topic.id, number), 0) for number in range(topic.partitions)}
        self._check_retained(topic, starting)
        frame = read_topic(self._connections.spark, self._settings, self._connections.bootstrap_servers, topic)
        query = Query(frame(starting), job, self._settings, self._checkpoints, committer.process, once=once)
        request = None
        try:
            request = self._watch(query, committer, topic, starting, lease)
        finally:
            query.stop()
            error = committer.finish()
            if self._observer is not None:
                self._observer.alive()
        self._error = query.failure() or error
        if request is not None and self._error is None:
            try:
                self._answer(request, documents, statistics)
            except (RedisError, *AGAIN) as error:
                self._error = error  # it is decided in the table's log: starting again finishes it
        if isinstance(self._error, FINAL) and not isinstance(self._error, AGAIN):
            raise self._error
        return committer.commits > 0

    @property
    def _checkpoints(self) -> Path:
        role = "live" if self._into is None else "replay"
        return self._settings.home / "spark" / "checkpoints" / self._settings.pipeline / role

    def _open(self) -> Generation:
        """The generation to write. The live one may have changed since the last query: then its own profile counts."""
        rules = self._profile.rules
        if self._into is not None:
            filled = self._generations.open(self._into)
            self._generations.check_rules(filled.documents, rules)
            return filled
        live = self._generations.open_live()
        if live is not None and self._generation not in (None, live.name):
            self._profile = load_profile(live.documents.properties["profile"])
            rules = self._profile.rules
            log.info("going on with generation %s, profile %s", live.name, self._profile.name)
        found = self._generations.open_or_create(rules)
        self._generation = found.name
        return found

    def _is_switched(self) -> bool:
        """Whether another generation was made the live one since this query began."""
        return self._into is None and self._generations.live() != self._generation

    def _check_retained(self, topic: Topic, starting: Mapping[int, int]) -> None:
        """Spark would notice too, but only when it reads, and without a remedy."""
        first = self._retrying(lambda: first_offsets(self._connections.bootstrap_servers, topic))
        for partition, offset in starting.items():
            if first.get(partition, 0) > offset:
                raise StreamError(
                    f"topic {topic.name}, partition {partition}: the records from offset {offset:,} to "
                    f"{first[partition]:,} are not in the topic any more (retention) and were never processed. Set the "
                    "topic's retention.ms and retention.bytes to -1, and ingest their sources into a new --pipeline"
                )

    def _watch(
        self, query: Query, committer: BatchCommitter, topic: Topic, starting: Mapping[int, int], lease: Lease
    ) -> Request | None:
        """Until the query ends, or has to; returns what the committer is asked to do before it goes on."""
        # Spark also reports a batch that waits for data, under the number that it will have: told apart by the time.
        seen = (-1, "")
        while True:
            lease.check()
            if self._observer is not None:
                self._observer.alive()
                if (request := take_request(self._connections.redis, self._settings.pipeline)) is not None:
                    self._go_on = True
                    return request
            if self._is_switched():
                self._go_on = True
                return None
            active = query.active
            for event in query.events():
                if (event["batchId"], event["timestamp"]) > seen:
                    seen = (event["batchId"], event["timestamp"])
                    progress = read_progress(event, topic)
                    if self._observer is not None:
                        self._observer.progress(
                            progress.batch_id,
                            rows=progress.rows,
                            rows_per_s=progress.rows_per_s,
                            lag=progress.lag,
                            lag_by_partition=progress.lag_by_partition,
                            seconds=progress.seconds,
                        )
                    self._on_progress(progress)
                    if self._until is not None and _reached(progress.end, self._until):
                        return None
            if not active or self._stop.is_set() or committer.failed:
                return None
            if self._until is not None and _reached(starting, self._until):
                return None
            time.sleep(POLL_S)

    def _answer(self, request: Request, documents: Documents, statistics: Statistics) -> None:
        """Do what was asked, between two queries."""
        compression_level = self._settings.documents.compression_level
        records = remove_sources(documents, statistics, request.ends, compression_level=compression_level)
        answer_request(self._connections.redis, self._settings.pipeline, request, records)
        log.info("removed %s: %d records", ", ".join(request.ends), records)

    def _topic(self) -> Topic:
        def describe() -> Topic:
            topic = describe_topic(self._settings, self._connections.bootstrap_servers, self._settings.records_topic)
            if topic is None:
                raise StreamError(
                    f"there is no topic {self._settings.records_topic} yet: ingest something first (`wetstream ingest`)"
                )
            return topic

        return self._retrying(describe)

    def _retrying(self, action: Callable[[], Any]) -> Any:
        """Do something with Kafka or Redis, waiting while they are away, for at most stream.retry_s."""
        deadline, wait_s = time.monotonic() + self._settings.stream.retry_s, 0.5
        while True:
            try:
                return action()
            except (RedisError, TopicError) as error:
                if self._stop.is_set():
                    raise StreamError(f"stopped while waiting: {explain(error)}. Nothing is lost") from error
                if time.monotonic() > deadline:
                    raise StreamError(
                        f"gave up after {self._settings.stream.retry_s:.0f} s (stream.retry_s): {explain(error)}"
                    ) from error
                log.warning("waiting: %s", explain(error))
                self._stop.wait(wait_s)
                wait_s = min(wait_s * 2, 10.0)


def _reached(end: Mapping[int, int], wanted: Mapping[int, int]) -> bool:
    return all(end.get(partition, 0) >= offset for partition, offset in wanted.items())


def explain(error: Exception) -> str:
    """An error in one line; of a Java stack trace, the innermost cause."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    causes = [line.removeprefix("Caused by: ") for line in lines if line.startswith("Caused by: ")]
    text = (causes or lines)[-1 if causes else 0].removesuffix("Traceback (most recent call last):").strip()[:300]
    if isinstance(error, RedisConnectionError):
        return f"Redis does not answer ({text})"
    if isinstance(error, RedisError):
        return f"Redis refuses: {text}"
    return text
