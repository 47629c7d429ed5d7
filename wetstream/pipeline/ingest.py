"""Ingesting and streaming: the producers' workers in the caller's thread, the stream in one of its own."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from conf.errors import ExplainedError
from conf.settings import Settings
from producers.estimate import Estimate, PlannedSource, estimate, plan_all
from producers.ingest import StopError
from producers.report import Outcome, OutcomeState
from producers.sources.discover import DiscoverOptions, discover
from producers.sources.follow import Follower
from producers.sources.source import Source
from producers.sources.urls import is_url
from producers.topic.markers import SourceState
from producers.topic.offsets import end_offsets
from producers.topic.topics import Topics, ensure_topics
from producers.workers import ingest_all
from wetstream.pipeline.background import BackgroundJob
from wetstream.pipeline.connections import Servers
from wetstream.pipeline.events import Lag, MicroBatch, OnEvent, Reading, SourcesFound, Status
from wetstream.pipeline.ledger import read_markers

if TYPE_CHECKING:
    from conf.profiles import Profile
    from streaming.query import BatchProgress
    from streaming.query_run import Listeners
    from streaming.stream import Stream


class FollowError(ExplainedError):
    """Options that exclude each other when following."""


@dataclass(frozen=True, slots=True)
class IngestOptions:
    """Which sources to ingest, and how.

    Attributes:
        alias: Identity of the one source given, in place of its path.
        base: Where the files of a listing are; None: beside the listing.
        match: Part of the location, or a pattern with `*` and `?` for all of it.
        offset: How many of the matching sources to skip.
        limit: How many to take at most.
        allow_copies: Whether to take a source whose content is ingested already under another name.
        follow: Whether to wait for new files until stopped.
    """

    alias: str | None = None
    base: str | None = None
    match: str | None = None
    offset: int = 0
    limit: int | None = None
    allow_copies: bool = False
    follow: bool = False

    @property
    def discover_options(self) -> DiscoverOptions:
        """The part of it that `discover` takes."""
        return DiscoverOptions(self.base, self.match, self.offset, self.limit)


def find_ingest_sources(settings: Settings, names: Sequence[str], options: IngestOptions) -> list[Source]:
    """Find the sources behind names: files, folders, globs, URLs and listings.

    What cannot be taken is returned as a source with a `problem`, and ends as failed beside the others.

    Raises:
        SourceNotFoundError: No name has a source behind it.
        ListingError: The one listing cannot be used.
        StoreError: The one remote store cannot be opened.
    """
    return discover(
        names, alias=options.alias, options=options.discover_options, settings=settings.producer, keep_going=True
    )


def make_follower(settings: Settings, names: Sequence[str], options: IngestOptions) -> Follower | None:
    """Make the follower that finds new files; None when not following. Raises FollowError."""
    if not options.follow:
        return None
    if options.alias is not None:
        raise FollowError("--as names one source, and --follow takes many: leave one of them out")
    return Follower(names, options.discover_options, settings.producer)


class Ingestion:
    """One run of the producers, alone or with a stream behind it."""

    def __init__(
        self, settings: Settings, servers: Servers, options: IngestOptions, on_event: OnEvent, stop: threading.Event
    ) -> None:
        self._settings = settings
        self._servers = servers
        self._options = options
        self._on_event = on_event
        self._stop = stop

    def ingest(self, sources: Sequence[Source], follower: Follower | None) -> list[Outcome]:
        """Ingest the sources, and with a follower those that come; return the last outcome of each."""
        topics = ensure_topics(self._settings, self._servers.bootstrap_servers)
        return self._ingest(topics, sources, follower)

    def run(
        self, sources: Sequence[Source], follower: Follower | None, stream: BackgroundJob[Stream, None]
    ) -> list[Outcome]:
        """Ingest, and stream at the same time up to the last record. Raises what the stream raises."""
        topics = ensure_topics(self._settings, self._servers.bootstrap_servers)
        stream.start(on_error=self._stop.set)
        try:
            outcomes = self._ingest(topics, sources, follower)
            if not self._stop.is_set():
                ends = end_offsets(self._servers.bootstrap_servers, topics.records)
                stream.ask(lambda job: job.stop_at(ends))
        except BaseException:
            stream.stop()
            raise
        finally:
            stream.join()
        return outcomes

    def _ingest(self, topics: Topics, sources: Sequence[Source], follower: Follower | None) -> list[Outcome]:
        outcomes: dict[str, Outcome] = {}
        if follower is not None:
            known = read_markers(self._settings) or {}
            follower.leave_out([source for source, marker in known.items() if marker.state is SourceState.REMOVED])
        events = ingest_all(
            self._settings,
            self._servers.bootstrap_servers,
            topics,
            sources,
            allow_copies=self._options.allow_copies,
            stop=self._stop,
            follower=follower,
        )
        self._on_event(SourcesFound({source.id: _size_of(source) for source in sources}))
        for event in events:
            self._on_event(event)
            if isinstance(event, Outcome):
                outcomes[event.source] = event
        for source in sources:
            if source.id not in outcomes:
                outcomes[source.id] = Outcome(source.id, OutcomeState.STOPPED, f"{source.name} was not begun")
        return list(outcomes.values())


def _size_of(source: Source) -> int:
    if is_url(source.location):
        return 0
    try:
        return Path(source.location).stat().st_size
    except OSError:
        return 0


def stream_job(
    settings: Settings, profile: Profile, servers: Servers, on_event: OnEvent, *, once: bool
) -> BackgroundJob[Stream, None]:
    """Make the stream that a thread of its own will start; `once`: to the end of the topic."""

    def make() -> Stream:
        from streaming.stream import Stream
        from wetstream.pipeline.spark_session import connect

        connections = connect(settings, profile, servers, lambda text: on_event(Status(text)))
        return Stream(settings, profile, connections, listeners=stream_listeners(on_event))

    def run(stream: Stream) -> None:
        on_event(Status("streaming"))
        stream.run(once=once)

    return BackgroundJob("wetstream-stream", make, run)


def stream_listeners(on_event: OnEvent) -> Listeners:
    """Turn what a stream tells into events."""
    from streaming.query_run import Listeners

    def on_progress(progress: BatchProgress) -> None:
        on_event(MicroBatch(progress.rows, progress.rows_per_s, progress.lag))

    return Listeners(on_progress, lambda lag: on_event(Lag(lag)), lambda records: on_event(Reading(records)))


def plan_ingest(
    settings: Settings, names: Sequence[str], options: IngestOptions, stop: threading.Event
) -> tuple[list[PlannedSource], Estimate]:
    """Plan what `ingest` would do with each source, and estimate sizes and time. Starts and writes nothing.

    Raises:
        StopError: `stop` was set meanwhile.
    """

    def check() -> None:
        if stop.is_set():
            raise StopError

    sources = find_ingest_sources(settings, names, options)
    markers = read_markers(settings) or {}
    planned = list(plan_all(sources, markers, settings.producer, allow_copies=options.allow_copies, check=check))
    workers = settings.producer.workers or os.cpu_count() or 1
    return planned, estimate(planned, sources, settings.producer, workers, check=check)
