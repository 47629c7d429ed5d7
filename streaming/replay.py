"""Replays the full data set as a batch, by the stream's own transform, into a new generation beside the live one.

From the topic, a replay is the stream itself, run to the end into that generation; from WET files only the source of
the records differs. As in the stream, each commit carries its position, so a replay that was killed resumes there. When
it has caught up, the pointer is switched. A running stream notices that before its next micro-batch and continues with
the new generation from that one's own positions: nothing is missing, nothing is counted twice.
"""

from __future__ import annotations

import contextlib
import json
import logging
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

import pyarrow as pa
from py4j.protocol import Py4JError
from pyspark.errors import PySparkException

from conf.crash_points import crash_point
from conf.errors import counted
from conf.profiles import Profile
from conf.settings import Settings
from producers.sources.source import Source
from producers.topic.offsets import end_offsets
from producers.topic.topics import Topic, describe_topic
from sinks.documents.errors import OldSchemaError
from sinks.documents.generations import ORIGIN, Generation, Generations
from sinks.documents.log import partition_key
from sinks.documents.table import Documents
from sinks.keys import replay_lease_key
from sinks.lease import Lease
from sinks.position import Position
from sinks.removal import finish_removal
from sinks.statistics.builds import open_builds
from sinks.statistics.sums import Sums
from streaming.connections import Connections
from streaming.errors import StreamError
from streaming.failures import Outage, describe, is_permanent, permanent_failure
from streaming.probe import check_executors
from streaming.query import collects_directly, sum_files
from streaming.query_run import Listeners
from streaming.session import is_local, spread_shuffles, task_slots
from streaming.statistics_committer import StatisticsCommitter
from streaming.stream import Stream
from streaming.tasks.files import plan_parts
from streaming.tasks.fused import TaskConfig
from streaming.tasks.partials import InconsistentPartialsError, MicroBatch, read_partials
from streaming.tasks.progress import ReadCounts
from streaming.tasks.recount import SparkRecount

log = logging.getLogger("wetstream")

FINISHED = "finished"
# While records keep arriving, the last ones are left to the writer after the switch.
MAX_CATCH_UPS = 5
SMALL_LAG = 1000
ATTEMPTS = 3
# Spark starts tasks of the second part as soon as the first one leaves a core free.
CONCURRENT_PARTS = 2
STOP_POLL_S = 0.5


class _StoppedError(Exception):
    """The part was not read to its end, because the replay was stopped."""


@dataclass(frozen=True, slots=True)
class FilesProgress:
    """Sources read from their files so far, of how many in all, and records in them."""

    sources: int
    of: int
    records: int


@dataclass
class ReplayResult:
    """What a replay has done. `unreadable`: by source, why its file was not read."""

    generation: str
    records: int = 0
    resumed: bool = False
    unreadable: dict[str, str] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether everything was read, so that the new generation may become the live one."""
        return not self.unreadable


class Replay:
    """One replay of a pipeline: `files` are read from their WET files, everything else from the topic."""

    def __init__(
        self,
        settings: Settings,
        profile: Profile,
        connections: Connections,
        files: Sequence[Source],
        *,
        listeners: Listeners | None = None,
        on_files: Callable[[FilesProgress], None] = lambda progress: None,
    ) -> None:
        self._settings = settings
        self._profile = profile
        self._connections = connections
        self._files = list({source.id: source for source in files}.values())
        self._listeners = listeners
        self._on_files = on_files
        counts = settings.home / "spark" / "progress" / settings.pipeline / "files"
        self._counts = ReadCounts(counts) if files and is_local(settings) else None
        self._files_done = self._records_done = 0
        self._submitted: deque[float] = deque()  # when the parts that are being read were, Unix time
        self._generations = Generations.of(settings)
        self._stop = threading.Event()
        self._outage = Outage(settings.stream.retry_s, self._stop)
        recount = SparkRecount(connections.spark, settings)
        self._builds = open_builds(settings, connections.redis, self._outage.wait_for_room, recount)
        self._stream: Stream | None = None
        self._job_tag = f"wetstream-replay-{uuid.uuid4().hex}"

    def stop(self) -> None:
        """End after the current commit; the same replay resumes there later.

        Files that are being read are left: no row of theirs is in the table yet.
        """
        self._stop.set()
        if self._stream is not None:
            self._stream.stop()

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stop.is_set()

    def run(self) -> ReplayResult:
        """Fill a new generation, or resume the one that the same replay has begun. Does not switch.

        Raises:
            StreamError: A failure is permanent, or lasted longer than `stream.retry_s`.
            LeaseError: Another replay of this pipeline is running.
            DocumentsError: The documents table is not what it has to be.
            StatisticsError: The statistics are not what they have to be.
        """
        try:
            return self._run()
        except (OSError, pa.ArrowException) as error:
            raise permanent_failure(error) from error

    def _run(self) -> ReplayResult:
        self._outage.retry(lambda: self._builds.check_owner(self._generations))
        generation, resumed = self._generation()
        name, documents = generation.name, generation.documents
        result = ReplayResult(name, resumed=resumed)
        if self._files:
            self._read_files(generation, result)
        if not self._stop.is_set() and result.complete and self._topic() is not None:
            self._read_topic(name)
        documents = Documents.open(documents.location)
        result.records = documents.row_count()
        if not self._stop.is_set() and result.complete:
            documents.set_property(FINISHED, "yes")
        return result

    def _generation(self) -> tuple[Generation, bool]:
        """The generation to fill, and whether it was begun before."""
        origin = json.dumps(sorted(source.id for source in self._files))
        live = self._generations.live()
        for name in reversed(self._generations.names()):
            try:
                begun = self._generations.open(name)
            except OldSchemaError:  # of before an upgrade
                continue
            found = begun.documents.properties
            same = (found.get(ORIGIN), found.get("rules_hash")) == (origin, self._profile.rules_hash)
            if name != live and same and FINISHED not in found:
                return begun, True
        old = self._generations.open_live()
        self._check_sources(old.documents if old else None)
        generation = self._generations.create_next(self._profile.rules)
        if old is not None:
            removals = [e for e in old.documents.exclusions() if e.removal]
            generation.documents.inherit(removals, old.documents.takedowns())
        generation.documents.set_property(ORIGIN, origin)
        crash_point("replay-generation-made")
        return generation, False

    def _check_sources(self, live: Documents | None) -> None:
        """Refuse to lose sources that came from files: they are in no topic, so a replay has to name their files."""
        named = {source.id for source in self._files}
        missing = [source for source in (live.sources_from_files() if live else []) if source not in named]
        if missing:
            more = f" and {len(missing) - 3:,} more" if len(missing) > 3 else ""
            raise StreamError(
                f"{', '.join(missing[:3])}{more} came from files, not from the topic: a replay without them would lose "
                "them. Name them too: `wetstream replay --from files SOURCE...` (all else comes from the topic)"
            )

    def _read_files(self, generation: Generation, result: ReplayResult) -> None:
        documents = generation.documents
        lease = Lease(self._connections.redis, replay_lease_key(self._settings.pipeline), lease_s=self._lease_s)
        self._outage.retry(lease.acquire)
        try:
            finish_removal(documents, compression_level=self._settings.documents.compression_level)
            check_executors(self._settings, self._connections, documents.location, self._stop)
            position = documents.position()
            statistics = self._outage.retry(lambda: self._builds.catch_up(generation, position, live=False))

            def commit(sums: Sums, start: Position, finish: Position) -> None:
                self._outage.retry(lambda: statistics.commit(sums, start, finish))
                self._outage.ended()

            documents.expect_files([source.id for source in self._files])
            left = [source for source in self._files if not documents.is_from_file(source.id)]
            self._files_done = len(self._files) - len(left)
            self._on_files(FilesProgress(self._files_done, len(self._files), 0))
            with StatisticsCommitter(commit, position, deferred=True) as committer:
                with contextlib.suppress(_StoppedError):
                    for sources, part in self._parts(left, documents):
                        result.unreadable |= part.unreadable
                        read = [source.id for source in sources if source.id not in part.unreadable]
                        if read:
                            documents.commit_files(part.files, read)
                            committer.submit(part, documents.position())
                        self._records_done += part.counts.totals()["records"]
                        self._files_done += len(sources)
                        self._on_files(FilesProgress(self._files_done, len(self._files), self._records_done))
                        lease.check()
                        if self._stop.is_set():
                            break
                if not self._stop.is_set():  # else the next start adds what is pending, from the table
                    committer.flush()
        finally:
            if self._counts is not None:
                self._counts.close()
            lease.release()

    def _parts(self, sources: Sequence[Source], documents: Documents) -> Iterator[tuple[list[Source], MicroBatch]]:
        """Yield the sources in parts, each with its sums. The next part is read while the caller commits one."""
        spread_shuffles(self._connections.spark, self._settings)
        waiting: deque[tuple[list[Source], Future[MicroBatch]]] = deque()
        with ThreadPoolExecutor(CONCURRENT_PARTS) as threads:
            try:
                for groups in plan_parts(sources, task_slots(self._connections.spark, self._settings)):
                    part = [source for group in groups for source in group]
                    self._submitted.append(time.time())
                    waiting.append((part, threads.submit(self._sum, groups, documents)))
                    if len(waiting) == CONCURRENT_PARTS:
                        yield self._first(waiting)
                while waiting:
                    yield self._first(waiting)
            finally:
                for _, read in waiting:
                    read.cancel()
                while wait([read for _, read in waiting], STOP_POLL_S).not_done:
                    self._cancel_jobs()

    def _first(self, waiting: deque[tuple[list[Source], Future[MicroBatch]]]) -> tuple[list[Source], MicroBatch]:
        """Take the first part when it is read. Raises _StoppedError when the replay is stopped before."""
        part, read = waiting[0]
        while not wait([read], STOP_POLL_S).done:
            if self._stop.is_set():
                self._cancel_jobs()  # again and again: its job may only just have begun
            elif self._counts is not None:
                # Those of parts that are done are among them.
                records = max(self._records_done, self._counts.records())
                self._on_files(FilesProgress(self._files_done, len(self._files), records))
        waiting.popleft()
        self._submitted.popleft()
        if self._counts is not None and self._submitted:
            self._counts.fold(self._submitted[0])
        return part, read.result()

    def _cancel_jobs(self) -> None:
        self._connections.spark.sparkContext.cancelJobsWithTag(self._job_tag)

    def _sum(self, groups: Sequence[Sequence[Source]], documents: Documents) -> MicroBatch:
        """One Spark action over whole files, repeated if a worker dies: files that it wrote are not in the table."""
        job = TaskConfig(
            self._profile,
            documents.location,
            self._settings.documents.compression_level,
            takedowns=documents.takedowns(),
            direct=collects_directly(len(groups)),
            counts=None if self._counts is None else self._counts.folder,
        )
        self._connections.spark.sparkContext.addJobTag(self._job_tag)  # of this thread
        for attempt in range(ATTEMPTS):
            if self._stop.is_set():
                raise _StoppedError
            frame = sum_files(self._connections.spark, groups, job, self._settings.producer)
            try:
                batch = read_partials(frame.toArrow())
                rows, found = sum(file.rows for file in batch.files), batch.counts.totals()["records"]
                if rows != found:
                    raise InconsistentPartialsError(
                        f"{counted(rows, 'documents row was', 'documents rows were')} written, {found:,} counted"
                    )
                return batch
            except (PySparkException, Py4JError, InconsistentPartialsError) as error:
                if self._stop.is_set():
                    raise _StoppedError from error
                if attempt == ATTEMPTS - 1 or is_permanent(error):
                    times = f" {attempt + 1} times" if attempt else ""
                    raise StreamError(
                        f"reading files failed{times}: {describe(error)}. What was read before is kept: the same "
                        "command resumes there"
                    ) from error
                log.warning("a task failed, reading its files again: %s", describe(error))
        raise AssertionError  # the last attempt returns or raises

    def _read_topic(self, name: str) -> None:
        for _ in range(MAX_CATCH_UPS):
            self._stream = Stream(
                self._settings, self._profile, self._connections, listeners=self._listeners, into=name
            )
            if self._stop.is_set():
                return
            self._stream.run(once=True)
            if self._stop.is_set() or self._lag(name) <= SMALL_LAG:
                return

    def _lag(self, name: str) -> int:
        topic = self._topic()
        if topic is None:
            return 0
        position = Documents.open(self._generations.location_of(name)).position()
        ends = end_offsets(self._connections.bootstrap_servers, topic)
        return sum(max(0, end - position.get(partition_key(topic.id, p), 0)) for p, end in ends.items())

    def _topic(self) -> Topic | None:
        if not self._connections.bootstrap_servers:
            return None
        return describe_topic(self._settings, self._connections.bootstrap_servers, self._settings.records_topic)

    @property
    def _lease_s(self) -> float:
        return self._settings.stream.lease_s
