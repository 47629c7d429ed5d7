"""Repairing sources whose records are not in the documents table exactly once.

Each round streams to the end of the topic, so that nothing of a source is still on its way, and compares the rows of
every faulty source with the chain that its file gives. Rows in excess are removed as a removal removes a source: a plan
in the table's log, one Delta commit, the negatives to Redis. Missing records are ingested again, in transactions of the
source's own producer, and streamed. Nothing is remembered between rounds: after a crash, the next repair finds out from
the table what is left to do.
"""

from __future__ import annotations

import logging
import os
import shlex
import socket
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from kafka.errors import KafkaError
from redis import Redis

from conf.addresses import BootstrapServers
from conf.crash_points import crash_point
from conf.errors import ExplainedError, counted
from conf.settings import Settings
from producers.refill import Refiller, RefillError
from producers.sources.discover import discover
from producers.sources.source import Source
from producers.topic.markers import COMPLETE, Marker, SourceState
from producers.topic.offsets import end_offsets
from producers.topic.topics import TopicError, Topics, describe_topics
from producers.wet.members import Place
from serving.verify.chain import SourceEnd, chain_faults, chain_rows
from sinks.documents.chain import ChainRepair, ChainRow, Span, chain_of, excess_ranges, plan_repair
from sinks.documents.exclusions import SourceRange
from sinks.documents.log import partition_key
from sinks.documents.table import Documents
from sinks.keys import changes_key, lease_key
from sinks.lease import Lease
from sinks.removal import finish_removal, remove_records
from sinks.statistics.builds import open_builds
from wetstream.pipeline.connections import find_kafka
from wetstream.pipeline.ledger import read_markers
from wetstream.pipeline.writer_lease import live_generation

log = logging.getLogger("wetstream")

# One mends what was found; another one what that has brought to light. More means that somebody else is writing.
MAX_ROUNDS = 4
# How many sources a remedy names.
NAMED = 20


class RepairError(ExplainedError):
    """A repair cannot begin or does not come to an end; the message says why."""


@dataclass(slots=True)
class RepairResult:
    """What a repair did.

    Attributes:
        removed: Rows in excess that were removed, by source.
        ingested: Missing records that were ingested again, by source.
        unrepaired: Why a source is still faulty, by source.
    """

    removed: dict[str, int] = field(default_factory=dict)
    ingested: dict[str, int] = field(default_factory=dict)
    unrepaired: dict[str, str] = field(default_factory=dict)


def source_ends(settings: Settings, documents: Callable[[], Documents]) -> dict[str, SourceEnd | None] | None:
    """Where the records of each source have to end, by the markers; None if the table is behind the topic.

    Also None, with a warning, if no broker answers. Markers are read first, the table last: so all that a marker covers
    is in a table that has caught up.
    """
    bootstrap_servers = find_kafka(settings)
    if not bootstrap_servers:
        return None
    try:
        topics = describe_topics(settings, bootstrap_servers)
        if topics is None:
            return None
        markers = read_markers(settings)
        ends = end_offsets(bootstrap_servers, topics.records)
    except TopicError as error:
        log.warning("where each source ends is not checked: %s", error)
        return None
    if markers is None:
        return None
    table = documents()
    position = table.position()
    if any(position.get(partition_key(topics.records.id, number), 0) < end for number, end in ends.items()):
        return None
    gone = (SourceState.REMOVING, SourceState.REMOVED)
    found: dict[str, SourceEnd | None] = {
        source: None if marker.state in gone else SourceEnd(marker.place, growing=marker.state not in COMPLETE)
        for source, marker in markers.items()
    }
    return found | dict.fromkeys(table.sources_from_files())


def repair(
    settings: Settings,
    bootstrap_servers: BootstrapServers,
    redis: Redis,
    stream: Callable[[], None],
    *,
    sources: Sequence[Source] = (),
    drop: Collection[str] = (),
    note: Callable[[str], None] = lambda text: None,
) -> RepairResult:
    """Repair every faulty source. Safe to repeat after any interruption.

    Args:
        settings: Settings of the pipeline.
        bootstrap_servers: Its Kafka.
        redis: Its Redis.
        stream: Processes the topic to its end.
        sources: Where sources are now that were moved since they were ingested.
        drop: Sources that no producer has ingested, and whose rows are to be removed.
        note: Called with what is being done.

    Raises:
        RepairError: There is no topic, Kafka fails, or new faults keep appearing.
        LeaseError: A stream, a removal or a replay of this pipeline runs.
    """
    topics = describe_topics(settings, bootstrap_servers)
    if topics is None:
        raise RepairError(f"pipeline {settings.pipeline} has no topic: nothing was ingested, or its topic is lost")
    changes = Lease(redis, changes_key(settings.pipeline), lease_s=settings.stream.lease_s)
    changes.acquire()
    run = _Repair(settings, bootstrap_servers, redis, topics, {source.id: source for source in sources}, drop, note)
    try:
        for _ in range(MAX_ROUNDS):
            stream()
            faulty = run.faulty()
            if not faulty:
                return run.result
            held = run.hold(faulty)
            if held:
                stream()
                run.round(held)
        raise RepairError("new faults appear after each round of the repair: is something else writing to the topic?")
    except KafkaError as error:
        raise RepairError(
            f"Kafka at {bootstrap_servers} did not take part in the repair ({type(error).__name__}: {error}); run the "
            "same command again: it goes on where this one stopped"
        ) from error
    finally:
        run.refiller.close()
        changes.release()


class _Repair:
    def __init__(
        self,
        settings: Settings,
        bootstrap_servers: BootstrapServers,
        redis: Redis,
        topics: Topics,
        locations: Mapping[str, Source],
        drop: Collection[str],
        note: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._redis = redis
        self._locations = locations
        self._drop = drop
        self._note = note
        owner = f"repair:{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:12]}"
        self.refiller = Refiller(settings, bootstrap_servers, topics, owner)
        self.result = RepairResult()

    def faulty(self) -> list[str]:
        """Sources that are still to be repaired, with the table at the end of the topic."""
        documents = live_generation(self._settings).documents
        ends = source_ends(self._settings, lambda: documents)
        faults = chain_faults(documents.parquet_files(), ends)
        found = sorted({fault.source for fault in faults} - self.result.unrepaired.keys())
        for source in found:
            self._note(f"{source}: {counted(sum(fault.source == source for fault in faults), 'fault')}")
        return found

    def hold(self, faulty: Sequence[str]) -> dict[str, Marker | None]:
        """Stop the ingestion of sources; returns the markers of those that can be repaired, None for one to drop."""
        held: dict[str, Marker | None] = {}
        from_files = set(live_generation(self._settings).documents.sources_from_files())
        for source in faulty:
            if source in from_files:
                self.result.unrepaired[source] = _replay_remedy(sorted(from_files))
                continue
            marker = self.refiller.hold(source)
            if marker is None and source in self._drop:
                held[source] = None
            elif marker is None:
                self.result.unrepaired[source] = (
                    "no producer has ingested it, or its progress marker is lost: `wetstream repair --drop SOURCE` "
                    "removes its rows"
                )
            elif marker.state in (SourceState.REMOVING, SourceState.REMOVED):
                self.result.unrepaired[source] = "it is being removed: let `wetstream remove` finish that first"
            else:
                held[source] = marker
        return held

    def round(self, held: Mapping[str, Marker | None]) -> None:
        """Remove what is in excess, then send what is missing."""
        files = live_generation(self._settings).documents.parquet_files()
        ranges: list[SourceRange] = []
        missing: list[tuple[Source, Marker, list[Span]]] = []
        for source, marker in held.items():
            rows = chain_rows(files, source)
            try:
                plan = plan_repair(rows, []) if marker is None else self._plan(marker, rows)
            except RefillError as error:
                self.result.unrepaired[source] = str(error)
                continue
            kept = [row.position for row in rows if row.position not in set(plan.excess)]
            ranges += [SourceRange(source, *found) for found in excess_ranges(plan.excess, kept)]
            _count(self.result.removed, source, len(plan.excess))
            if marker is not None and plan.missing:
                missing.append((self._locate(marker), marker, plan.missing))
        if ranges:
            self._remove(ranges)
        crash_point("repair-before-refill")
        for location, marker, spans in missing:
            self._note(f"{location.id}: ingesting {counted(len(spans), 'missing record')}")
            links = [(Place(*span.begin), Place(*span.end)) for span in spans]
            try:
                _count(self.result.ingested, location.id, self.refiller.refill(location, marker, links))
            except RefillError as error:
                self.result.unrepaired[location.id] = str(error)

    def _plan(self, marker: Marker, rows: Sequence[ChainRow]) -> ChainRepair:
        try:
            links = self.refiller.chain(self._locate(marker), marker)
        except RefillError as error:
            # Rows that are in excess are known without the file, where the others leave no choice.
            alone = chain_of(rows, marker.place, cut=marker.cut is not None)
            plan = None if alone is None else plan_repair(rows, alone)
            if plan is None or plan.missing:
                raise RefillError(
                    f"{error}; name the file that was ingested (`wetstream repair FILE`), or remove the source and "
                    "ingest it again"
                ) from error
            return plan
        return plan_repair(rows, [Span(place, end) for place, end in links])

    def _remove(self, ranges: Sequence[SourceRange]) -> None:
        self._note("removing rows in excess")
        level = self._settings.documents.compression_level
        lease = Lease(self._redis, lease_key(self._settings.pipeline), lease_s=self._settings.stream.lease_s)
        lease.acquire()
        try:
            generation = live_generation(self._settings)
            documents = generation.documents
            finish_removal(documents, compression_level=level)
            statistics = open_builds(self._settings, self._redis).catch_up(generation, documents.position())
            remove_records(documents, statistics, {}, ranges, compression_level=level)
        finally:
            lease.release()

    def _locate(self, marker: Marker) -> Source:
        known = self._locations.get(marker.source)
        if known is not None:
            return known
        try:
            (found,) = discover([marker.uri], settings=self._settings.producer)
        except (ExplainedError, ValueError):
            return Source(marker.source, marker.uri)
        return Source(marker.source, found.location)


def _replay_remedy(from_files: Sequence[str]) -> str:
    names = " ".join(shlex.quote(source) for source in from_files[:NAMED]) + (" …" if len(from_files) > NAMED else "")
    return (
        "it was read from its file, not from the topic, so it cannot be repaired by itself: `wetstream replay --from "
        f"files {names}` reads it again (give the path of what is named by its crawl path; all sources that came from "
        "files have to be named)"
    )


def _count(into: dict[str, int], source: str, n: int) -> None:
    if n:
        into[source] = into.get(source, 0) + n
