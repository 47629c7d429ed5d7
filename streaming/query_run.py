"""One query, from the positions of the documents table until it ends or has to be restarted."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from conf.profiles import Profile
from conf.settings import Settings
from producers.topic.topics import Topic, TopicError, describe_topic
from sinks.documents.exclusions import by_source
from sinks.documents.generations import Generation
from sinks.documents.log import partition_key
from sinks.lease import Lease
from sinks.observations import Observer
from sinks.position import Position
from sinks.requests import Request, take_request
from sinks.statistics.store import Statistics
from sinks.statistics.sums import Sums
from streaming.admission import Admission
from streaming.batch_committer import BatchCommitter
from streaming.connections import Connections
from streaming.failures import Outage, describe
from streaming.query import BatchProgress, Query, collects_directly, read_progress, read_topic
from streaming.session import IDLE_REPORT_MS, spread_shuffles, task_slots
from streaming.statistics_committer import StatisticsCommitter
from streaming.tasks.compaction import BackgroundCompaction
from streaming.tasks.fused import TaskConfig
from streaming.tasks.progress import ReadCounts
from streaming.topic_ends import TopicEnds

log = logging.getLogger("wetstream")

POLL_S = 0.1
SWITCH_POLL_S = 1.0  # the pointer is looked at before each commit anyway, and is a request where it is remote
# An idle query reports twice as often; one that is silent works, or waits for the broker.
SILENT_S = 2 * IDLE_REPORT_MS / 1000
PROBE_TIMEOUT_MS = 3_000


def ignore(_: Any) -> None:
    """Listen to nothing."""


@dataclass(frozen=True, slots=True)
class Listeners:
    """Who is told how far a query is; all are called in the thread that runs it.

    Attributes:
        on_progress: Called for each micro-batch that Spark reports.
        on_lag: Called with the offsets of the topic that are not processed yet, whenever their number has changed; not
            while another generation is filled.
        on_reading: Called with the records that tasks have read of the micro-batch under way, where that is known.
    """

    on_progress: Callable[[BatchProgress], None] = ignore
    on_lag: Callable[[int], None] = ignore
    on_reading: Callable[[int], None] = ignore


class GenerationSwitchedError(Exception):
    """Another generation is live now; it reads what is in this micro-batch itself."""


@dataclass(frozen=True, slots=True)
class RunEnd:
    """Why a query has ended.

    `error`: it failed. `request`: do this, then restart. `restart`: start the next query; else the stream is done.
    """

    error: Exception | None = None
    request: Request | None = None
    restart: bool = False


class QueryRun:
    """Runs one query over a topic into one generation and its statistics, which are at the same position."""

    def __init__(
        self,
        settings: Settings,
        connections: Connections,
        topic: Topic,
        generation: Generation,
        statistics: Statistics,
        *,
        profile: Profile,
        lease: Lease,
        outage: Outage,
        observer: Observer | None,
        is_switched: Callable[[], bool],
        counts: ReadCounts | None = None,
    ) -> None:
        self._settings = settings
        self._connections = connections
        self._topic = topic
        self._statistics = statistics
        self._lease = lease
        self._outage = outage
        self._observer = observer
        self._is_switched = is_switched
        self._counts = counts
        # Of their own: the table is written on while Redis is away, and a query may fail while the broker is there.
        self._redis_outage, self._broker_outage = outage.another(), outage.another()
        documents = generation.documents
        position = documents.position()
        self._starting = {
            number: position.get(partition_key(topic.id, number), 0) for number in range(topic.partitions)
        }
        self._compaction = BackgroundCompaction(connections.spark, settings)
        self._committer = BatchCommitter(
            settings.documents,
            topic,
            documents,
            position,
            StatisticsCommitter(self._commit_statistics, position, deferred=observer is None),
            self._compaction,
            self._check,
            observer,
        )
        # Spark reads a partition by one task, or cuts it where there are fewer than it may use.
        tasks = max(topic.partitions, task_slots(connections.spark, settings))
        self._config = TaskConfig(
            profile,
            documents.location,
            settings.documents.compression_level,
            by_source(documents.exclusions()),
            documents.takedowns(),
            collects_directly(tasks),
            None if counts is None else counts.folder,
        )

    def run(
        self,
        checkpoints: Path,
        stop: threading.Event,
        until: Callable[[], Mapping[int, int] | None],
        listeners: Listeners,
        *,
        once: bool,
    ) -> RunEnd:
        """Run until the topic ends (`once`), `stop` is set, all offsets below `until()` are processed, or a failure.

        Args:
            checkpoints: Folder for Spark's checkpoint, which is not kept.
            stop: Ends the query after the current micro-batch.
            until: The offsets to stop at, by partition; None while they are not known.
            listeners: Who is told how far it is.
            once: End at the end of the topic.
        """
        spark, settings = self._connections.spark, self._settings
        if self._counts is not None:
            self._counts.reset()
        spread_shuffles(spark, settings)
        bootstrap_servers = self._connections.bootstrap_servers
        admission = self._admission()
        records = read_topic(spark, settings, bootstrap_servers, self._topic, self._starting, admission.offsets)
        query = Query(
            records,
            self._config,
            settings,
            self._topic,
            checkpoints,
            self._process,
            admission,
            self._starting,
            once=once,
        )
        ends = TopicEnds(bootstrap_servers, self._topic) if self._observer is not None else None
        watched = False
        try:
            end = self._watch(query, ends, stop, until, listeners)
            watched = True
        finally:
            # A commit that waits for room in Redis would keep a query from ending that has to end for another reason.
            self._outage.is_ending = not watched or end.restart or query.failure() is not None
            if watched:
                query.stop()
            else:
                query.abort()
            if ends is not None:
                ends.close()
            if intact := watched and query.failure() is None:
                self._compaction.finish(stop, begin_more=once and not end.restart)
            else:
                self._compaction.abort()
            error = self._committer.finish(with_joins=intact)
            self._outage.is_ending = False
            if self._observer is not None:
                self._observer.alive()
        return RunEnd(query.failure() or error, end.request, end.restart)

    def _admission(self) -> Admission:
        # Nobody waits for the first numbers of a replay.
        target_s = self._settings.stream.target_batch_s if self._observer is not None else 0.0
        return Admission(target_s, self._settings.stream.max_records)

    def _watch(
        self,
        query: Query,
        ends: TopicEnds | None,
        stop: threading.Event,
        until: Callable[[], Mapping[int, int] | None],
        listeners: Listeners,
    ) -> RunEnd:
        """Wait until the query ends or has to. Raises StreamError, LeaseError."""
        # Spark also reports a batch that waits for data, under the number that it will have: told apart by the time.
        seen = (-1, "")
        heard_at = probed_at = looked_at = time.monotonic()
        end: Mapping[int, int] = self._starting
        lag: int | None = None
        reading = 0
        while True:
            self._lease.check()
            if self._observer is not None and ends is not None:
                self._observer.alive({partition_key(self._topic.id, n): at for n, at in ends.ends.items()})
                if (request := take_request(self._connections.redis, self._settings.pipeline)) is not None:
                    return RunEnd(request=request, restart=True)
            if time.monotonic() - looked_at > SWITCH_POLL_S:
                looked_at = time.monotonic()
                if self._is_switched():
                    return RunEnd(restart=True)
            active = query.active
            for event in query.events():
                if (event["batchId"], event["timestamp"]) > seen:
                    seen = (event["batchId"], event["timestamp"])
                    progress = read_progress(event, self._topic)
                    end, heard_at = progress.end or end, time.monotonic()
                    self._outage.ended()
                    self._report(progress, listeners.on_progress)
                    if ends is not None:
                        ends.include(progress.latest)
            if ends is not None and ends.ends:
                lag, before = sum(max(0, last - end.get(number, 0)) for number, last in ends.ends.items()), lag
                if lag != before:
                    listeners.on_lag(lag)
            if self._counts is not None and (read := self._counts.records()) != reading:
                reading = read
                listeners.on_reading(read)
            wanted = until()
            if not active or stop.is_set() or self._committer.failed:
                return RunEnd()
            if wanted is not None and _reached(end, wanted):
                return RunEnd()
            if time.monotonic() - max(heard_at, probed_at) > SILENT_S and self._probe():
                probed_at = time.monotonic()
            time.sleep(POLL_S)

    def _report(self, progress: BatchProgress, on_progress: Callable[[BatchProgress], None]) -> None:
        if self._observer is not None:
            self._observer.progress(
                progress.batch_id,
                rows=progress.rows,
                rows_per_s=progress.rows_per_s,
                lag=progress.lag,
                seconds=progress.seconds,
            )
        on_progress(progress)

    def _probe(self) -> bool:
        """Whether the broker answers: Spark itself waits for it for minutes. Raises StreamError after the limit."""
        kafka = self._settings.kafka.model_copy(update={"request_timeout_ms": PROBE_TIMEOUT_MS})
        settings = self._settings.model_copy(update={"kafka": kafka})
        began = time.monotonic()
        try:
            describe_topic(settings, self._connections.bootstrap_servers, self._topic.name)
        except TopicError as error:
            self._broker_outage.began(time.monotonic() - began + SILENT_S)
            log.warning("waiting: %s", describe(error))
            self._broker_outage.check(error)
            return False
        self._broker_outage.ended()
        return True

    def _process(self, partials: pa.Table, number: int, ends: Mapping[int, int]) -> None:
        if self._counts is not None:
            self._counts.reset()
        self._committer.process(partials, number, ends)
        self._outage.ended()

    def _commit_statistics(self, sums: Sums, start: Position, finish: Position) -> None:
        self._redis_outage.retry(lambda: self._statistics.commit(sums, start, finish))
        self._redis_outage.ended()

    def _check(self) -> None:
        """Called before each commit to the table."""
        self._lease.check()
        if self._is_switched():
            raise GenerationSwitchedError("another generation is the live one now")


def _reached(end: Mapping[int, int], wanted: Mapping[int, int]) -> bool:
    return all(end.get(partition, 0) >= offset for partition, offset in wanted.items())
