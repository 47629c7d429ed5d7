"""Commands that change the whole of a pipeline: `replay`, `generations`, `remove`, `takedowns`."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence

import click

from conf.errors import counted
from conf.redaction import redact_values
from wetstream import Pipeline
from wetstream.commands.options import NAME, PATH_OR_URL, base_option, command, json_option, profile_option
from wetstream.commands.terminal.output import err, out

commands = click.Group()


@command(commands, name="replay")
@click.argument("sources", nargs=-1, type=PATH_OR_URL, metavar="[SOURCE]...")
@click.option(
    "--from",
    "origin",
    type=click.Choice(["topic", "files", "documents"]),
    required=True,
    help="Where the records come from.",
)
@click.option("--switch/--no-switch", "switch_over", default=True, help="Whether to make the result the live one.")
@base_option
@profile_option
@json_option
def replay_command(
    pipeline: Pipeline, sources: tuple[str, ...], origin: str, switch_over: bool, base: str | None, as_json: bool
) -> None:
    """Process everything again, as a batch.

    The result is a new generation of the documents; queries and the stream go on meanwhile. From the topic: all
    that was ever ingested. From files: these SOURCES without Kafka, and whatever else the topic holds. From
    documents: only the statistics are recounted. With --profile, other rules are applied to the past. Interrupted,
    the same command continues.
    """
    if (origin == "files") != bool(sources):
        raise click.UsageError("--from files takes the SOURCES to read; --from topic and --from documents take none")
    if origin == "documents":
        pipeline.recount()
        _print_stats(pipeline, as_json)
        return
    from wetstream.commands.terminal.interruption import interruptible
    from wetstream.commands.terminal.progress import ProgressDisplay

    with interruptible(pipeline) as interruption, ProgressDisplay(err, ingest=False, stream=True) as display:
        pipeline.on_event = display.show
        result, live = pipeline.replay(*sources, base=base, switch=switch_over)
    if result is None:
        err.line("interrupted before anything was read; the same command starts it again", "yellow")
        sys.exit(interruption.exit_code)
    for why in result.unreadable.values():
        err.line(why, "red")
    if as_json:
        fields = {"generation": result.generation, "records": result.records, "live": live, "resumed": result.resumed}
        out.json({**fields, "unreadable": redact_values(result.unreadable)})
    else:
        out.line(
            f"generation {result.generation}: {counted(result.records, 'record')}, {'now live' if live else 'not live'}"
        )
    if result.unreadable:
        err.line(
            f"{counted(len(result.unreadable), 'file')} could not be read, so nothing was switched: repair or leave "
            "out what is named, then run the replay again (what was read is kept)",
            "red",
        )
    if interruption.exit_code and not live:
        err.line("interrupted: the same command continues", "yellow")
        sys.exit(interruption.exit_code)
    sys.exit(int(not live and (switch_over or bool(result.unreadable))))


@commands.group(name="generations")
def generations_group() -> None:
    """List, switch and drop generations.

    A generation is a documents table made by a replay, with its statistics; one is live.
    """


@command(generations_group, name="list")
@json_option
def list_command(pipeline: Pipeline, as_json: bool) -> None:
    """List all generations, oldest first."""
    from wetstream.commands.terminal.records import show_generations

    rows = pipeline.generations()
    if as_json:
        out.json([dataclasses.asdict(row) for row in rows])
    else:
        show_generations(out, rows)


@command(generations_group, name="switch")
@click.argument("generation", type=NAME)
def switch_command(pipeline: Pipeline, generation: str) -> None:
    """Make GENERATION the live one. A running stream continues with it, with its profile and from its positions."""
    records = pipeline.switch_generation(generation)
    out.line(f"{generation} is live: {counted(records, 'record')}")


@command(generations_group, name="drop")
@click.argument("generation", type=NAME)
def drop_command(pipeline: Pipeline, generation: str) -> None:
    """Delete GENERATION, which must not be the live one."""
    pipeline.drop_generation(generation)
    out.line(f"{generation} is deleted")


@command(commands, name="remove")
@click.argument("sources", nargs=-1, type=PATH_OR_URL, metavar="[SOURCE]...")
@click.option("--segment", "segments", multiple=True, type=NAME, metavar="ID", help="All sources of a segment.")
@click.option("--crawl", "crawls", multiple=True, type=NAME, metavar="NAME", help="All sources of a crawl (CC-MAIN-…).")
@click.option("--url", "urls", multiple=True, type=NAME, metavar="URL", help="The page of this URL, for ever.")
@click.option(
    "--host",
    "hosts",
    multiple=True,
    type=NAME,
    metavar="HOST",
    help="All pages of a host, for ever (.HOST: of those below it too).",
)
@click.option(
    "--pattern",
    "patterns",
    multiple=True,
    type=NAME,
    metavar="REGEX",
    help="All pages whose URL holds a match (RE2 syntax), for ever.",
)
@click.option("--purge", is_flag=True, help="Also delete such pages from old versions and from the topic.")
@click.option("--dry-run", is_flag=True, help="Only count the pages.")
@json_option
def remove_command(
    pipeline: Pipeline,
    sources: tuple[str, ...],
    segments: tuple[str, ...],
    crawls: tuple[str, ...],
    purge: bool,
    dry_run: bool,
    as_json: bool,
    **pages: tuple[str, ...],
) -> None:
    """Take sources or pages out again, exactly.

    The rest is not recounted. A SOURCE is an identity as in `wetstream segments --json`, or the path it was
    ingested from. It can be ingested again afterwards. Interrupted, the same command finishes the removal.

    Pages (--url, --host, --pattern) are kept out from now on, whatever source brings them; of each, a row without
    content remains. --purge alone goes on with the pages that were taken down before. It deletes from the topic all
    messages up to the last of these pages: Kafka deletes no single ones.
    """
    by_source, by_page = bool(sources or segments or crawls), any(pages.values())
    if by_source and (by_page or purge or dry_run):
        raise click.UsageError("remove sources and pages one after the other; --purge and --dry-run are for pages")
    if dry_run and (purge or not by_page):
        raise click.UsageError("--dry-run counts the pages of a --url, --host or --pattern")
    if not (by_source or by_page or purge):
        raise click.UsageError("name sources, a --segment, --crawl, --url, --host or --pattern")
    if by_source:
        _remove_sources(pipeline, sources, segments, crawls, as_json)
    elif dry_run:
        found = pipeline.matching_pages(**pages)
        if as_json:
            out.json({"pages": found})
        else:
            out.line(f"{counted(found, 'page')} would be taken down")
    else:
        from wetstream.commands.terminal.takedowns import show_taken_down

        taken = pipeline.take_down(**pages, purge=purge)
        if as_json:
            out.json(dataclasses.asdict(taken))
        else:
            show_taken_down(out, taken)
        sys.exit(int(taken.purge is not None and not taken.purge.complete))


def _remove_sources(
    pipeline: Pipeline, sources: Sequence[str], segments: Sequence[str], crawls: Sequence[str], as_json: bool
) -> None:
    removed = pipeline.remove(*sources, segments=segments, crawls=crawls)
    if as_json:
        out.json(dataclasses.asdict(removed))
    else:
        for source in removed.sources:
            out.line(f"removed {source}")
        out.line(f"{counted(removed.records, 'record')} taken out of documents and statistics")


@command(commands, name="takedowns")
@json_option
def takedowns_command(pipeline: Pipeline, as_json: bool) -> None:
    """List what `remove` keeps out: URLs, hosts and patterns."""
    found = pipeline.takedowns()
    if as_json:
        out.json([{"kind": takedown.kind, "value": takedown.value} for takedown in found])
    else:
        for takedown in found:
            out.line(f"{takedown.kind}  {takedown.value}")
        if not found:
            out.line("no page is kept out")


def _print_stats(pipeline: Pipeline, as_json: bool) -> None:
    from wetstream.commands.terminal.statistics import show_stats

    stats = pipeline.statistics.stats()
    if as_json:
        out.json(stats)
    else:
        show_stats(out, stats)
