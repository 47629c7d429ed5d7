"""Replays into a new generation, the switch to it, and the list of generations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from conf.profiles import Profile, profile_name
from conf.settings import Settings
from producers.sources.source import Source
from sinks.documents.errors import DocumentsError
from sinks.documents.generations import ORIGIN, Generations
from sinks.documents.table import Documents
from sinks.statistics.builds import open_builds
from streaming.query import BatchProgress
from streaming.replay import FINISHED, FilesProgress, Replay, ReplayResult
from streaming.switch import switch
from wetstream.pipeline.background import BackgroundJob
from wetstream.pipeline.connections import Servers, find_redis, open_redis
from wetstream.pipeline.events import FilesRead, MicroBatch, OnEvent, Status
from wetstream.pipeline.spark_session import connect


@dataclass(frozen=True, slots=True)
class GenerationInfo:
    """One documents table of a pipeline. `state`: `live`, `kept`, or `unfinished` when its replay has not ended."""

    generation: str
    state: str
    profile: str | None
    records: int
    sources_from_files: int
    path: str


def replay_job(
    settings: Settings, profile: Profile, servers: Servers, sources: Sequence[Source], on_event: OnEvent
) -> BackgroundJob[Replay, ReplayResult]:
    """Make the replay that a thread of its own will start. Interrupted, the same replay continues where it stopped."""

    def make() -> Replay:
        connections = connect(settings, profile, servers, lambda text: on_event(Status(text)))
        return Replay(settings, profile, connections, sources, on_progress=on_progress, on_files=on_files)

    def on_progress(progress: BatchProgress) -> None:
        on_event(MicroBatch(progress.rows, progress.rows_per_s, progress.lag))

    def on_files(progress: FilesProgress) -> None:
        on_event(FilesRead(progress.sources, progress.of, progress.records))

    def run(replay: Replay) -> ReplayResult:
        on_event(Status("replaying"))
        return replay.run()

    return BackgroundJob("wetstream-replay", make, run)


def generation_info(generations: Generations, name: str) -> GenerationInfo:
    """Describe a generation, which must be there."""
    documents = Documents.open(generations.location_of(name))
    properties = documents.properties
    profile = properties.get("profile")
    live = generations.live() == name
    unfinished = ORIGIN in properties and FINISHED not in properties and not live
    return GenerationInfo(
        name,
        "live" if live else "unfinished" if unfinished else "kept",
        None if profile is None else profile_name(profile),
        documents.row_count(),
        len(documents.sources_from_files()),
        str(documents.location),
    )


def list_generations(settings: Settings) -> list[GenerationInfo]:
    """List all generations, oldest first."""
    generations = Generations.of(settings)
    return [generation_info(generations, name) for name in generations.names()]


def switch_generation(settings: Settings, name: str) -> int:
    """Make a generation the live one; return how many records it holds.

    Raises:
        DocumentsError: There is no such generation, or its replay has not ended.
        LeaseError: Another change of the pipeline is under way.
    """
    generations = Generations.of(settings)
    if name not in generations.names():
        raise DocumentsError(f"there is no generation {name}: `wetstream generations list` names them")
    if generation_info(generations, name).state == "unfinished":
        raise DocumentsError(
            f"the replay into generation {name} has not ended: run the same `wetstream replay` again to finish it"
        )
    return switch(settings, open_redis(find_redis(settings), settings.pipeline), name)


def drop_generation(settings: Settings, name: str) -> None:
    """Delete a generation that is not live, and its statistics. Raises DocumentsError."""
    Generations.of(settings).drop(name)
    open_builds(settings, open_redis(find_redis(settings), settings.pipeline)).forget(name)
