"""Commands that work on the whole of a pipeline: replay, generations, remove."""

from __future__ import annotations

import sys
from typing import Any

import click

from conf.settings import Settings
from wetstream.commands import show
from wetstream.commands.options import command, err, json_option, out, print_json, profile_option

_commands = click.Group()


@command(_commands, name="replay")
@click.argument("sources", nargs=-1, metavar="[SOURCE]...")
@click.option(
    "--from",
    "origin",
    type=click.Choice(["topic", "files", "documents"]),
    required=True,
    help="Where the records come from.",
)
@click.option("--switch/--no-switch", "switch_over", default=True, help="Whether the result becomes the live one.")
@click.option("--base", metavar="FOLDER|URL", help="Where a listing's files are (default: beside the listing).")
@profile_option
@json_option
def replay_command(
    settings: Settings, sources: tuple[str, ...], origin: str, switch_over: bool, base: str | None, as_json: bool
) -> None:
    """The full data set as a batch, into a new generation; live queries and streaming go on meanwhile.

    From the topic: all that was ever ingested. From files: these SOURCES without Kafka, and whatever else the topic
    holds. From documents: only the statistics, counted anew. With --profile: other rules, applied to the past.
    """
    from producers.sources.discover import DiscoverOptions, discover
    from wetstream.commands.display import Display
    from wetstream.pipeline.connections import find_servers, find_servers_for_files, open_redis
    from wetstream.pipeline.replay import refuse_other_rules, replay
    from wetstream.pipeline.spark_session import pipeline_profile
    from wetstream.pipeline.writer_lease import rebuild

    if (origin == "files") != bool(sources):
        raise click.UsageError("--from files takes the SOURCES to read; the others take none")
    profile = pipeline_profile(settings, anew=True)
    if origin == "documents":
        refuse_other_rules(settings, profile)
        servers = find_servers_for_files(settings, log=_note)
        rebuild(settings, open_redis(servers.redis_url))
        _print_stats(settings, as_json)
        return
    if origin == "files":
        found = discover(sources, options=DiscoverOptions(base), settings=settings.producer)
        servers = find_servers_for_files(settings, log=_note)
    else:
        found = []
        servers = find_servers(settings, start=True, log=_note)
    with Display(err, [], ingest=False, stream=True) as display:
        result, live = replay(settings, profile, servers, found, display, switch_over=switch_over)
    for why in result.unreadable.values():
        err.print(why, style="red", markup=False, soft_wrap=True)
    if as_json:
        fields = {"generation": result.generation, "records": result.records, "live": live, "resumed": result.resumed}
        print_json({**fields, "unreadable": result.unreadable})
    else:
        out.print(f"generation {result.generation}: {result.records:,} records, {'now live' if live else 'not live'}")
    if result.unreadable:
        err.print(
            f"{len(result.unreadable):,} files could not be read, so nothing was switched: mend them, or leave them "
            "out, and replay again (what was read is kept)",
            style="red",
        )
    if not live and (switch_over or result.unreadable):
        sys.exit(1)


@_commands.group(name="generations")
def generations_group() -> None:
    """Documents tables of a pipeline, of which one is live: a replay makes a new one."""


@command(generations_group, name="list")
@json_option
def list_command(settings: Settings, as_json: bool) -> None:
    """All generations, oldest first."""
    from sinks.documents.generations import Generations

    generations = Generations(settings.documents_path, settings.pipeline)
    rows = [_generation_row(generations, name) for name in generations.names()]
    if as_json:
        print_json(rows)
    else:
        show.show_generations(out, rows)


@command(generations_group, name="switch")
@click.argument("generation")
def switch_command(settings: Settings, generation: str) -> None:
    """Make GENERATION the live one. A running stream carries on with it, with its profile and from its positions."""
    from sinks.documents.generations import Generations
    from sinks.documents.log import DocumentsError
    from streaming.replay import FINISHED, switch
    from wetstream.pipeline.connections import find_redis, open_redis

    generations = Generations(settings.documents_path, settings.pipeline)
    row = _generation_row(generations, generation) if generation in generations.names() else None
    if row is None:
        raise DocumentsError(f"there is no generation {generation}: `wetstream generations list` names them")
    if row["state"] == "unfinished":
        raise DocumentsError(
            f"generation {generation} is not {FINISHED}: let its replay (the same command again) come to its end first"
        )
    records = switch(settings, open_redis(find_redis(settings)), generation)
    out.print(f"{generation} is live: {records:,} records")


@command(generations_group, name="drop")
@click.argument("generation")
def drop_command(settings: Settings, generation: str) -> None:
    """Delete GENERATION, which must not be the live one."""
    from sinks.documents.generations import Generations
    from streaming.replay import make_builds
    from wetstream.pipeline.connections import find_redis, open_redis

    Generations(settings.documents_path, settings.pipeline).drop(generation)
    make_builds(settings, open_redis(find_redis(settings))).forget(generation)
    out.print(f"{generation} is gone")


@command(_commands, name="remove")
@click.argument("sources", nargs=-1, metavar="[SOURCE]...")
@click.option("--segment", "segments", multiple=True, metavar="ID", help="All sources of a segment.")
@click.option("--crawl", "crawls", multiple=True, metavar="NAME", help="All sources of a crawl (CC-MAIN-…).")
@json_option
def remove_command(
    settings: Settings, sources: tuple[str, ...], segments: tuple[str, ...], crawls: tuple[str, ...], as_json: bool
) -> None:
    """Take the contribution of SOURCES out again, exactly, without counting the rest anew.

    SOURCE is an identity as in `wetstream segments --json`, or the path that it was ingested from. Afterwards it can be
    ingested anew. A command that was interrupted is finished by the same command.
    """
    from wetstream.pipeline.remove import find_sources, remove

    if not (sources or segments or crawls):
        raise click.UsageError("name sources, a --segment or a --crawl")
    found = find_sources(settings, sources, segments, crawls)
    records = remove(settings, found, _note)
    if as_json:
        print_json({"sources": found, "records": records})
    else:
        for source in found:
            out.print(f"removed {source}", markup=False, soft_wrap=True)
        out.print(f"{records:,} records taken out of documents and statistics")


def _generation_row(generations: Any, name: str) -> dict[str, Any]:
    from sinks.documents.generations import ORIGIN
    from sinks.documents.table import Documents
    from streaming.replay import FINISHED

    documents = Documents.open(generations.path(name))
    properties = documents.properties
    live = generations.live() == name
    unfinished = ORIGIN in properties and FINISHED not in properties and not live
    return {
        "generation": name,
        "state": "live" if live else "unfinished" if unfinished else "kept",
        "profile": properties.get("profile"),
        "records": documents.row_count(),
        "sources_from_files": len(documents.sources_from_files()),
        "path": str(documents.path),
    }


def _print_stats(settings: Settings, as_json: bool) -> None:
    from serving.queries import LiveStatistics
    from wetstream.pipeline.connections import find_redis, open_redis

    stats = LiveStatistics(open_redis(find_redis(settings)), settings.pipeline).stats()
    if as_json:
        print_json(stats)
    else:
        show.show_stats(out, stats)


def _note(text: str) -> None:
    err.print(text, style="dim", markup=False, soft_wrap=True)


def add_commands(group: click.Group) -> None:
    """Put them into the group of all commands."""
    for name, each in _commands.commands.items():
        group.add_command(each, name)
