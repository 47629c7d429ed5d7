"""Commands on what is stored: `verify`, `repair`, `rebuild`, `upgrade`, `documents`."""

from __future__ import annotations

import dataclasses
import sys

import click

from conf.errors import counted
from wetstream import Pipeline
from wetstream.commands.options import NAME, Number, command, json_option, limit_option
from wetstream.commands.terminal.output import err, out

commands = click.Group()


@command(commands, name="verify")
@json_option
def verify_command(pipeline: Pipeline, as_json: bool) -> None:
    """Recount every statistic and compare.

    DuckDB recounts from the documents table; the result is compared with Redis, and printed as one digest.
    """
    result = pipeline.verify()
    if as_json:
        out.json(dataclasses.asdict(result))
    else:
        for line in result.differences:
            out.line(line, "red")
        verdict = ("ok", "bold green") if result.ok else ("not equal", "bold red")
        out.parts(
            verdict, (f": {counted(result.records, 'record')}, every statistic recounted; digest {result.digest}", "")
        )
    sys.exit(int(not result.ok))


@command(commands, name="repair")
@click.argument("files", nargs=-1, type=NAME, metavar="[FILE]...")
@click.option("--drop", multiple=True, type=NAME, metavar="SOURCE", help="Remove a source that nobody has ingested.")
@json_option
def repair_command(pipeline: Pipeline, files: tuple[str, ...], drop: tuple[str, ...], as_json: bool) -> None:
    """Mend sources that `verify` finds at fault.

    Their records are not in the documents exactly once: rows in excess are removed, and missing records are ingested
    again, from where the source was ingested, or from FILE if it was moved. No stream may run. Interrupted, the same
    command goes on.
    """
    result = pipeline.repair(*files, drop=drop)
    if as_json:
        out.json(dataclasses.asdict(result))
    else:
        for source in sorted({*result.removed, *result.ingested}):
            removed, ingested = result.removed.get(source, 0), result.ingested.get(source, 0)
            out.line(
                f"{source}: {counted(removed, 'row')} in excess removed, {counted(ingested, 'missing record')} ingested"
            )
        for source, why in result.unrepaired.items():
            out.line(f"{source}: not repaired: {why}", "red")
        if not (result.removed or result.ingested or result.unrepaired):
            out.line("every record of every source is there exactly once: nothing to repair")
    sys.exit(int(bool(result.unrepaired)))


@command(commands, name="rebuild")
def rebuild_command(pipeline: Pipeline) -> None:
    """Recount the statistics in Redis from the documents table.

    Needs neither Kafka nor the WET files. Readers see the old numbers until the new ones are complete. No stream may
    run.
    """
    from wetstream.commands.terminal.statistics import show_stats

    pipeline.rebuild()
    show_stats(out, pipeline.statistics.stats())


@command(commands, name="upgrade")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@json_option
def upgrade_command(pipeline: Pipeline, dry_run: bool, as_json: bool) -> None:
    """Bring a pipeline of an older version to this one.

    Its documents are rewritten into a new generation, which becomes the live one; its rules stay. The old generation
    is kept until `wetstream generations drop`. No stream may run. Interrupted, the same command goes on.
    """
    from wetstream.commands.terminal.records import show_upgrade
    from wetstream.commands.terminal.rows import RowsDisplay

    with RowsDisplay(err) as display:
        pipeline.on_event = display.show
        done = pipeline.upgrade(dry_run=dry_run)
    if as_json:
        out.json(dataclasses.asdict(done))
    else:
        show_upgrade(out, done, pipeline.settings.pipeline)


@commands.group(name="documents")
def documents_group() -> None:
    """Maintain the documents table.

    It is a Delta table: DuckDB, Polars, pandas and Spark can read it.
    """


@command(documents_group, name="path")
def path_command(pipeline: Pipeline) -> None:
    """Print where the live documents table is.

    A replay or an upgrade makes another one the live one.
    """
    out.line(pipeline.documents.path)


@command(documents_group, name="compact")
def compact_command(pipeline: Pipeline) -> None:
    """Join small files now.

    The stream does so every documents.compact_every micro-batches.
    """
    before, after = pipeline.compact()
    out.line(f"joined {counted(before, 'small file')} into {after:,}")


@command(documents_group, name="vacuum")
@click.option(
    "--retain-hours",
    type=Number(0, 1_000_000),
    default=168.0,
    help="Keep files that were live this many hours ago (default: a week).",
)
@click.option("--dry-run", is_flag=True, help="Only list what would be deleted.")
def vacuum_command(pipeline: Pipeline, retain_hours: float, dry_run: bool) -> None:
    """Delete files that no longer belong to the table.

    These are compacted ones, and those of tasks that died.
    """
    deleted = pipeline.vacuum(retain_hours, dry_run=dry_run)
    for path in deleted:
        out.line(path)
    done = ("would be", "would be") if dry_run else ("was", "were")
    out.line(f"{counted(len(deleted), f'file {done[0]}', f'files {done[1]}')} deleted")


@command(documents_group, name="history")
@limit_option("commits")
@json_option
def history_command(pipeline: Pipeline, limit: int, as_json: bool) -> None:
    """Show the last commits to the table."""
    from wetstream.commands.terminal.records import show_commits

    commits = pipeline.documents.history(limit)
    if as_json:
        out.json(commits)
    else:
        show_commits(out, commits)
