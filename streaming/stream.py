"""The writer of a pipeline: documents table first, then statistics, each record once, whatever is killed.

A start, and each restart after an error, takes the lease, opens the documents table, brings Redis to the table's
positions and reads the topic from exactly there. A micro-batch is one Spark action, one commit to the table and one
commit to Redis; the latter runs while Spark reads the next micro-batch. If the process dies between the two commits,
the next start finds Redis behind the table and heals it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
from deltalake.exceptions import DeltaError
from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from redis import RedisError

from conf.profiles import Profile
from conf.settings import Settings
from producers.topic.markers import check_contract
from producers.topic.topics import Topic, describe_topic
from sinks.documents.errors import DocumentsError, FencedError
from sinks.documents.generations import Generation, Generations
from sinks.documents.takedowns import named
from sinks.keys import key_types, lease_key, replay_lease_key
from sinks.lease import Lease, LeaseError
from sinks.observations import Observer
from sinks.removal import finish_removal, remove_records
from sinks.requests import Request, answer_request
from sinks.statistics.builds import StatisticsBuilds, open_builds
from sinks.statistics.errors import CorruptStatisticsError, MemoryFullError, NotInStepError, StatisticsError
from sinks.statistics.store import Statistics
from sinks.statistics.stored import check_types
from streaming.connections import Connections
from streaming.errors import StreamError
from streaming.failures import Outage, describe
from streaming.probe import check_executors
from streaming.query import drop_old_checkpoints
from streaming.query_run import GenerationSwitchedError, Listeners, QueryRun, RunEnd
from streaming.retention import check_retention
from streaming.session import check_java, is_local
from streaming.tasks.progress import ReadCounts
from streaming.tasks.recount import SparkRecount

log = logging.getLogger("wetstream")

RESTART_S = 1.0
# Errors that end the stream, except those that a restart from the stored positions mends.
FINAL = (LeaseError, DocumentsError, StatisticsError, StreamError)
RESTARTABLE = (FencedError, MemoryFullError, NotInStepError, GenerationSwitchedError)


class Stream:
    """Runs one pipeline until it is stopped, or to the end of the topic.

    Args:
        settings: All settings.
        profile: The cleaning rules.
        connections: Servers and Spark.
        listeners: Who is told how far it is, in the thread that called `run`.
        into: Fill this generation, which is not live, beside the stream that may be running (a replay). Its profile
            must be the given one.
    """

    def __init__(
        self,
        settings: Settings,
        profile: Profile,
        connections: Connections,
        *,
        listeners: Listeners | None = None,
        into: str | None = None,
    ) -> None:
        self._into = into
        self._generation: str | None = None
        self._settings = settings
        self._profile = profile
        self._connections = connections
        self._listeners = listeners or Listeners()
        self._counts = ReadCounts(self._scratch("progress")) if is_local(settings) else None
        self._observer = Observer(connections.redis, settings.pipeline) if into is None else None
        self._generations = Generations.of(settings)
        self._stop = threading.Event()
        self._outage = Outage(settings.stream.retry_s, self._stop)
        self._until: dict[int, int] | None = None
        self._examined = False

    def stop(self) -> None:
        """End after the current micro-batch. Safe in a signal handler and from another thread."""
        self._stop.set()

    def stop_at(self, ends: Mapping[int, int]) -> None:
        """End when all offsets below `ends` (by partition) are processed."""
        self._until = dict(ends)

    def run(self, *, once: bool = False) -> None:
        """Process the topic; with `once`, to its end.

        Raises:
            StreamError: A failure is permanent, or lasted longer than `stream.retry_s`.
            LeaseError: Another writer has the pipeline.
            DocumentsError: The documents table is not what it has to be.
            StatisticsError: The statistics are not what they have to be.
        """
        name = lease_key(self._settings.pipeline) if self._into is None else replay_lease_key(self._settings.pipeline)
        lease = Lease(self._connections.redis, name, lease_s=self._settings.stream.lease_s)
        self._outage.retry(self._check_keys)
        self._outage.retry(lease.acquire)
        try:
            drop_old_checkpoints(self._checkpoints)
            while not self._stop.is_set():
                try:
                    end = self._run_query(lease, once=once)
                except (OSError, pa.ArrowException, DeltaError, PySparkException, Py4JError) as error:
                    self._restart_or_raise(error)
                    continue
                if end.error is not None:
                    self._restart_or_raise(end.error)
                elif not end.restart:
                    return
        finally:
            lease.release()
            if self._counts is not None:
                self._counts.close()
            if self._observer is not None:
                self._observer.gone()

    def _restart_or_raise(self, error: Exception) -> None:
        """Wait before the next query; raise what a restart cannot mend."""
        if isinstance(error, GenerationSwitchedError | MemoryFullError):
            return
        if isinstance(error, FINAL) and not isinstance(error, RESTARTABLE):
            raise error
        check_java(self._connections.spark, self._settings)
        self._outage.check(error)
        log.warning("micro-batch dropped, restarting from the stored positions: %s", describe(error))
        self._stop.wait(min(RESTART_S, max(self._outage.left_s, 0.0)))

    def _run_query(self, lease: Lease, *, once: bool) -> RunEnd:
        """Run one query from the stored positions, then do what was requested of the writer."""
        topic = self._describe_topic()
        recount = SparkRecount(self._connections.spark, self._settings)
        builds = open_builds(self._settings, self._connections.redis, self._outage.wait_for_room, recount)
        self._outage.retry(lambda: builds.check_owner(self._generations))
        generation = self._open()
        documents = generation.documents
        if "topic_id" not in documents.properties:
            self._outage.retry(lambda: check_contract(self._settings, self._connections.bootstrap_servers))
        documents.check_writable()
        if not self._examined:
            check_executors(self._settings, self._connections, documents.location, self._stop)
            self._examined = True
        documents.bind_topic(topic.name, topic.id, topic.partitions)
        # A removal that was decided on but interrupted. Redis, which has not seen it, is then recounted.
        finish_removal(documents, compression_level=self._settings.documents.compression_level)
        self._outage.retry(self._check_keys)
        check_retention(self._settings, self._connections.bootstrap_servers, topic, documents, self._outage)
        statistics = self._catch_up(builds, generation)
        run = QueryRun(
            self._settings,
            self._connections,
            topic,
            generation,
            statistics,
            profile=self._profile,
            lease=lease,
            outage=self._outage,
            observer=self._observer,
            is_switched=self._is_switched,
            counts=self._counts,
        )
        end = run.run(self._checkpoints, self._stop, lambda: self._until, self._listeners, once=once)
        if end.request is not None and end.error is None:
            try:
                self._answer(end.request, generation, statistics)
            except (RedisError, *RESTARTABLE) as error:
                return RunEnd(error=error)  # it is decided in the table's log: a restart finishes it
        return end

    def _check_keys(self) -> None:
        """Name a key of another type: Redis itself would only refuse whatever uses it, for ever."""
        try:
            check_types(self._connections.redis, key_types(self._settings.pipeline))
        except CorruptStatisticsError as error:
            raise StreamError(
                f"Redis key {error.key} {error.problem}: something else writes to this database. Give wetstream a "
                "database of its own (redis.url), or delete the key"
            ) from error

    def _catch_up(self, builds: StatisticsBuilds, generation: Generation) -> Statistics:
        position = generation.documents.position()
        live = self._into is None
        statistics = self._outage.retry(lambda: builds.catch_up(generation, position, live=live))
        if self._observer is not None:
            self._observer.begin(statistics.keys, generation.name)
        return statistics

    @property
    def _checkpoints(self) -> Path:
        return self._scratch("checkpoints")

    def _scratch(self, purpose: str) -> Path:
        role = "live" if self._into is None else "replay"
        return self._settings.home / "spark" / purpose / self._settings.pipeline / role

    def _open(self) -> Generation:
        """The generation to write. If the live one has changed since the last query, its own profile applies."""
        rules = self._profile.rules
        if self._into is not None:
            filled = self._generations.open(self._into)
            self._generations.check_rules(filled.documents, rules)
            return filled
        live = self._generations.open_live()
        if live is not None and self._generation not in (None, live.name):
            self._profile = self._generations.profile_of(live.documents)
            rules = self._profile.rules
            log.info("continuing with generation %s, profile %s", live.name, self._profile.name)
        found = self._generations.open_or_create(rules)
        self._generation = found.name
        return found

    def _is_switched(self) -> bool:
        """Whether another generation has become the live one since this query started."""
        return self._into is None and self._generations.live() != self._generation

    def _answer(self, request: Request, generation: Generation, statistics: Statistics) -> None:
        """Do what was requested, between two queries."""
        compression_level = self._settings.documents.compression_level
        documents, takedowns = generation.documents, request.takedowns
        records = remove_records(
            documents, statistics, request.ends, takedowns=takedowns, compression_level=compression_level
        )
        answer_request(self._connections.redis, self._settings.pipeline, request, records)
        log.info("removed %s: %d records", ", ".join([*request.ends, *named(takedowns)]), records)

    def _describe_topic(self) -> Topic:
        def describe_once() -> Topic:
            topic = describe_topic(self._settings, self._connections.bootstrap_servers, self._settings.records_topic)
            if topic is None:
                raise StreamError(
                    f"there is no topic {self._settings.records_topic} yet: ingest something first (`wetstream ingest`)"
                )
            return topic

        return self._outage.retry(describe_once)
