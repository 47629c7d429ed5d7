"""Replays into a new generation, the switch to it, and the list of generations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from conf.profiles import Profile, profile_name
from conf.settings import Settings
from producers.sources.source import Source
from sinks.documents.errors import DocumentsError
from sinks.documents.generations import ORIGIN, Generations
from sinks.documents.schema import SCHEMA_VERSION
from sinks.documents.table import Documents
from sinks.statistics.builds import open_builds
from sinks.upgrades.upgrade import UPGRADED_FROM
from streaming.replay import FINISHED, FilesProgress, Replay, ReplayResult
from streaming.switch import switch
from wetstream.pipeline.background import BackgroundJob
from wetstream.pipeline.connections import Servers, find_redis, open_redis
from wetstream.pipeline.events import FilesRead, OnEvent, Status
from wetstream.pipeline.ingest import stream_listeners
from wetstream.pipeline.spark_session import connect


@dataclass(frozen=True, slots=True)
class GenerationInfo:
    """One documents table of a pipeline.

    `state`: `live`, `kept`, `unfinished` when its replay or upgrade has not ended, or `old` when an older version of
    wetstream made it.
    """

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
        return Replay(settings, profile, connections, sources, listeners=stream_listeners(on_event), on_files=on_files)

    def on_files(progress: FilesProgress) -> None:
        on_event(FilesRead(progress.sources, progress.of, progress.records))

    def run(replay: Replay) -> ReplayResult:
        on_event(Status("replaying"))
        return replay.run()

    return BackgroundJob("wetstream-replay", make, run)


def generation_info(generations: Generations, name: str) -> GenerationInfo:
    """Describe a generation, which must be there."""
    documents = Documents.open_any(generations.location_of(name))
    properties = documents.properties
    profile = properties.get("profile")
    live = generations.live() == name
    begun = (ORIGIN in properties and FINISHED not in properties) or (
        UPGRADED_FROM in properties and not documents.transactions()
    )
    old = documents.schema_version != SCHEMA_VERSION
    state = "live" if live else "old" if old else "unfinished" if begun else "kept"
    return GenerationInfo(
        name,
        state,
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
    state = generation_info(generations, name).state
    if state == "old":
        Documents.open(generations.location_of(name))  # says that only the live one is upgraded
    if state == "unfinished":
        raise DocumentsError(
            f"the replay into generation {name} has not ended: run the same `wetstream replay` again to finish it"
        )
    return switch(settings, open_redis(find_redis(settings), settings.pipeline), name)


def drop_generation(settings: Settings, name: str) -> None:
    """Delete a generation that is not live, and its statistics. Raises DocumentsError."""
    Generations.of(settings).drop(name)
    open_builds(settings, open_redis(find_redis(settings), settings.pipeline)).forget(name)
