"""The public way to a pipeline, for notebooks, programs and the command line alike."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from conf.settings import Settings
from wetstream.pipeline.events import EventStream, OnEvent, Status, ignore
from wetstream.pipeline.reader import PipelineReader

# Whatever takes time to import is imported where it is used, so that statistics answer at once.
if TYPE_CHECKING:
    from producers.estimate import Estimate, PlannedSource
    from producers.report import Outcome
    from serving.queries import LiveStatistics
    from streaming.replay import ReplayResult
    from wetstream.pipeline.background import BackgroundJob
    from wetstream.pipeline.connections import Servers
    from wetstream.pipeline.ingest import IngestOptions
    from wetstream.pipeline.repair import RepairResult


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Removal:
    """What was taken out: the identities of the sources, and the number of their records."""

    sources: list[str]
    records: int


class Pipeline(PipelineReader):
    """One pipeline: its topic, its documents table and its statistics.

    Embedded servers that a method needs are started when none are configured, and stay up (see `stop_servers`). A
    method that is interrupted, by `stop` or by an exception such as KeyboardInterrupt, ends after the current
    transaction and micro-batch; calling it again continues there. Not for several threads at once, but for `stop`.

    Args:
        name: Name of the pipeline; None: the one of the settings (`main`).
        config: TOML file of settings, over the defaults and under the environment.
        settings: Settings that are loaded already, in place of `config` and `flags`.
        on_event: Called with every `Event`, from any thread.
        **flags: Any setting by its name, with `__` for the dot: `home="/data/ws"`, `kafka__partitions=16`.

    Raises:
        SettingsError: A setting is unknown or has a value that it cannot have.
        TypeError: An argument is of another type, or `settings` is not the only one that sets something.
    """

    def __init__(
        self,
        name: str | None = None,
        *,
        config: str | Path | None = None,
        settings: Settings | None = None,
        on_event: OnEvent = ignore,
        **flags: Any,
    ) -> None:
        super().__init__(name, config=config, settings=settings, on_event=on_event, **flags)
        self.servers_started: list[str] = []
        self._stop = threading.Event()
        self._jobs: list[Callable[[], None]] = []
        self._at_work = False

    # Writing

    def ingest(self, *sources: str | Path, options: IngestOptions | None = None) -> list[Outcome]:
        """Read WET files into the topic, each record exactly once.

        Args:
            *sources: Files, folders, globs, URLs or listings.
            options: Which of them, and how.

        Returns:
            An outcome for each source; `stopped` for one that was interrupted or not begun.

        Raises:
            SourceNotFoundError: A name has no source behind it.
            ServerError: A server is not reachable.
        """
        from wetstream.pipeline.ingest import Ingestion

        wanted = self._options(options)
        found, follower = self._find(sources, wanted)
        servers = self._servers()
        with self._working():
            return Ingestion(self.settings, servers, wanted, self.on_event, self._stop).ingest(found, follower)

    def run(self, *sources: str | Path, options: IngestOptions | None = None) -> list[Outcome]:
        """Ingest the sources and stream them to the end at the same time.

        Args and returns as `ingest`. Raises what `ingest` and `stream` raise.
        """
        from wetstream.pipeline.ingest import Ingestion, stream_job
        from wetstream.pipeline.profile import pipeline_profile

        wanted = self._options(options)
        found, follower = self._find(sources, wanted)
        profile = pipeline_profile(self.settings)
        servers = self._servers()
        job = stream_job(self.settings, profile, servers, self.on_event, once=False)
        with self._working(job):
            return Ingestion(self.settings, servers, wanted, self.on_event, self._stop).run(found, follower, job)

    def stream(self, *, once: bool = True) -> None:
        """Process the topic into documents and statistics.

        Args:
            once: End at the present end of the topic; else go on until `stop` is called.

        Raises:
            StreamError: It cannot go on; nothing is lost.
            LeaseError: Another stream of this pipeline runs.
        """
        from producers.topic.topics import ensure_topics
        from wetstream.pipeline.ingest import stream_job
        from wetstream.pipeline.profile import pipeline_profile

        profile = pipeline_profile(self.settings)
        servers = self._servers()
        job = stream_job(self.settings, profile, servers, self.on_event, once=once)
        with self._working(job):
            ensure_topics(self.settings, servers.bootstrap_servers)
            job.start()
            job.join()

    def replay(
        self, *files: str | Path, base: str | None = None, switch: bool = True
    ) -> tuple[ReplayResult | None, bool]:
        """Process everything as a batch, into a new generation beside the live one.

        Args:
            *files: Sources to read from their WET files; whatever else there is comes from the topic.
            base: Where the files of a listing are; None: beside the listing.
            switch: Make the new generation the live one when it is complete.

        Returns:
            What the new generation holds (None when stopped before it was begun), and whether it is live now.
        """
        from wetstream.pipeline.ingest import IngestOptions, find_ingest_sources
        from wetstream.pipeline.profile import pipeline_profile
        from wetstream.pipeline.replay import replay_job, switch_generation

        profile = pipeline_profile(self.settings, replace_rules=True)
        names = [str(file) for file in files]
        found = find_ingest_sources(self.settings, names, IngestOptions(base=base)) if names else []
        found = [source.absolute() for source in found]  # executors have another working directory
        servers = self._servers_for_files() if names else self._servers()
        job = replay_job(self.settings, profile, servers, found, self.on_event)
        with self._working(job):
            job.start()
            result = job.join()
            live = result is not None and result.complete and not job.stopped and switch
            if result is not None and live:
                result.records = switch_generation(self.settings, result.generation)
        return result, live

    def recount(self) -> None:
        """Recount the statistics from the documents table, for `replay --from documents`.

        Raises:
            OtherRulesError: Another profile is asked for than the one of the documents.
        """
        from wetstream.pipeline.profile import pipeline_profile, require_same_rules

        require_same_rules(self.settings, pipeline_profile(self.settings, replace_rules=True))
        self._servers_for_files()
        self.rebuild()

    def remove(self, *sources: str | Path, segments: Sequence[str] = (), crawls: Sequence[str] = ()) -> Removal:
        """Take sources out of documents and statistics, exactly.

        Args:
            *sources: Identities, or the paths they were ingested from.
            segments: Take out all sources of these segments.
            crawls: Take out all sources of these crawls.

        Raises:
            UnknownSourceError: Nothing of this name was ingested.
        """
        from wetstream.pipeline.remove import find_sources, remove

        found = find_sources(self.settings, [str(source) for source in sources], segments, crawls)
        return Removal(found, remove(self.settings, found, lambda text: self.on_event(Status(text))))

    def repair(
        self, *files: str | Path, drop: Sequence[str] = (), options: IngestOptions | None = None
    ) -> RepairResult:
        """Mend sources whose records are not in the documents table exactly once.

        Args:
            *files: Where sources are that were moved since they were ingested.
            drop: Identities of sources that no producer has ingested, and whose rows are to be removed.
            options: How `files` are found.

        Raises:
            RepairError: New faults keep appearing.
            LeaseError: A stream, a removal or a replay of this pipeline runs.
        """
        from wetstream.pipeline.ingest import find_ingest_sources, stream_job
        from wetstream.pipeline.profile import pipeline_profile
        from wetstream.pipeline.repair import repair

        profile = pipeline_profile(self.settings)
        names = [str(file) for file in files]
        found = find_ingest_sources(self.settings, names, self._options(options)) if names else []
        servers = self._servers()

        def stream() -> None:
            job = stream_job(self.settings, profile, servers, self.on_event, once=True)
            with self._working(job):
                job.start()
                job.join()

        def note(text: str) -> None:
            self.on_event(Status(text))

        return repair(self.settings, servers.bootstrap_servers, self.redis, stream, sources=found, drop=drop, note=note)

    def rebuild(self) -> None:
        """Recount the statistics in Redis from the documents table. Raises LeaseError while a stream runs."""
        from wetstream.pipeline.writer_lease import rebuild

        rebuild(self.settings, self.redis, lambda text: self.on_event(Status(text)))

    def stop(self) -> bool:
        """Ask the method that is at work to end in order. Safe in signal handlers and other threads.

        Returns:
            Whether one is at work; while it still looks for sources or starts servers, none is.
        """
        if not self._at_work:
            return False
        self._stop.set()
        for stop in list(self._jobs):
            stop()
        return True

    def plan(self, *sources: str | Path, options: IngestOptions | None = None) -> tuple[list[PlannedSource], Estimate]:
        """Plan what `ingest` would do, and estimate sizes and time. Starts and writes nothing.

        Raises:
            StopError: `stop` was called meanwhile.
        """
        from wetstream.pipeline.ingest import plan_ingest

        with self._working():
            return plan_ingest(self.settings, [str(source) for source in sources], self._options(options), self._stop)

    def events(self, method: Callable[..., T], *args: Any, **kwargs: Any) -> EventStream[T]:
        """Call a method of this pipeline in a thread of its own, and iterate over its events meanwhile.

        Args:
            method: The method, such as `pipeline.run`.
            *args: Its arguments.
            **kwargs: Its keyword arguments.

        Returns:
            An iterator of events; its `result` is what the method returns.
        """

        def work(on_event: OnEvent) -> T:
            before, self.on_event = self.on_event, on_event
            try:
                return method(*args, **kwargs)
            finally:
                self.on_event = before

        return EventStream(work, self.stop)

    # Servers

    def start_servers(self) -> list[str]:
        """Start the embedded servers that are needed; return the names of those for which none is configured."""
        from wetstream.pipeline.connections import require_open_files, start_embedded

        require_open_files()
        needed = {"kafka": not self.settings.kafka.bootstrap_servers, "redis": not self.settings.redis.url}
        if any(needed.values()):
            start_embedded(self.settings, kafka=needed["kafka"], redis=needed["redis"], log=self._log)
        return [name for name, wanted in needed.items() if wanted]

    def stop_servers(self) -> list[str]:
        """End the embedded servers of the state directory; their data stay. Returns the names of those that ran."""
        from wetstream.servers import embedded

        return embedded.down(self.settings.home, self._log)

    def _servers(self) -> Servers:
        from wetstream.pipeline.connections import find_servers, require_open_files

        require_open_files()
        return self._started(find_servers(self.settings, start=True, log=self._log))

    def _servers_for_files(self) -> Servers:
        from wetstream.pipeline.connections import find_servers_for_files, require_open_files

        require_open_files()
        return self._started(find_servers_for_files(self.settings, log=self._log))

    def _started(self, servers: Servers) -> Servers:
        self.servers_started += servers.started
        return servers

    def _log(self, text: str) -> None:
        self.on_event(Status(text))

    @staticmethod
    def _options(options: IngestOptions | None) -> IngestOptions:
        from wetstream.pipeline.ingest import IngestOptions

        return IngestOptions() if options is None else options

    def _find(self, sources: Sequence[str | Path], options: IngestOptions) -> tuple[list[Any], Any]:
        from wetstream.pipeline.ingest import find_ingest_sources, make_follower

        names = [str(source) for source in sources]
        follower = make_follower(self.settings, names, options)
        # A follower finds them itself, when they have come to rest.
        return ([] if follower else find_ingest_sources(self.settings, names, options)), follower

    @contextmanager
    def _working(self, job: BackgroundJob[Any, Any] | None = None) -> Iterator[None]:
        """While inside, `stop` is heard."""
        self._stop.clear()
        self._jobs = [] if job is None else [job.stop]
        self._at_work = True
        try:
            yield
        finally:
            self._at_work = False


def open_statistics(pipeline: str | None = None, *, config: str | Path | None = None, **flags: Any) -> LiveStatistics:
    """Open the live statistics of a pipeline, with settings from all their places.

    Args:
        pipeline: Name of the pipeline; None: the one of the settings.
        config: TOML file of settings.
        **flags: Any setting by its name, with `__` for the dot.
    """
    return Pipeline(pipeline, config=config, **flags).statistics
