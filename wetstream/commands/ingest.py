"""Commands that bring records in: `run`, `ingest`, `stream`."""

from __future__ import annotations

import dataclasses
import sys
from typing import TYPE_CHECKING, Any

import click

from conf.redaction import redact, redact_values
from wetstream import Pipeline
from wetstream.cluster.health import health_server
from wetstream.commands.options import command, json_option, profile_option
from wetstream.commands.source_options import source_options
from wetstream.commands.terminal.output import err, out

# Imports that take time stand in the commands that need them, so that `wetstream stats` answers at once.
if TYPE_CHECKING:
    from wetstream import IngestOptions, Outcome

commands = click.Group()


@command(commands, name="run")
@source_options
@profile_option
@json_option
def run_command(pipeline: Pipeline, sources: tuple[str, ...], options: IngestOptions, as_json: bool) -> None:
    """Ingest and stream SOURCES, then show the statistics.

    SOURCES are WET files, folders, globs (in quotes), URLs, or listings (wet.paths.gz). Starts the embedded servers
    if none are configured, and leaves them up. Running it again changes nothing; interrupted, it continues next time.
    """
    outcomes, code = ingest_and_stream(pipeline, sources, options)
    stats = None if code and not _counted(pipeline) else pipeline.statistics.stats()
    if as_json:
        out.json({"sources": outcome_rows(outcomes), "stats": stats})
    else:
        show_run(pipeline, outcomes, code)
    if pipeline.servers_started:
        err.line()
        err.line("the embedded servers stay up for the next command; `wetstream down` stops them", "dim")
    sys.exit(exit_code(outcomes, options, code))


def ingest_and_stream(
    pipeline: Pipeline, sources: tuple[str, ...], options: IngestOptions | None = None
) -> tuple[list[Outcome], int]:
    """Run the pipeline with bars; return the outcomes and the exit code of an interruption (0: none)."""
    from wetstream.commands.terminal.interruption import interruptible
    from wetstream.commands.terminal.progress import ProgressDisplay

    with (
        interruptible(pipeline) as interruption,
        ProgressDisplay(err, ingest=True, stream=True, follow=options is not None and options.follow) as display,
        health_server(pipeline.settings, display.show, streaming=True) as pipeline.on_event,
    ):
        outcomes = pipeline.run(*sources, options=options)
    return outcomes, interruption.exit_code


def show_run(pipeline: Pipeline, outcomes: list[Outcome], interrupted: int) -> None:
    """Show outcomes, and the statistics as far as they have come."""
    from wetstream.commands.terminal.sources import show_outcomes
    from wetstream.commands.terminal.statistics import show_stats

    show_outcomes(out, outcomes)
    out.line()
    if interrupted and not _counted(pipeline):
        out.line("interrupted before anything was counted; the same command continues", "yellow")
        return
    show_stats(out, pipeline.statistics.stats())
    if interrupted:
        out.line("interrupted: not everything is counted yet; the same command continues", "yellow")


@command(commands, name="ingest")
@source_options
@click.option("--dry-run", is_flag=True, help="Only show what would be done, and about how long it would take.")
@json_option
def ingest_command(
    pipeline: Pipeline, sources: tuple[str, ...], options: IngestOptions, dry_run: bool, as_json: bool
) -> None:
    """Read WET files into the topic, each record once.

    SOURCES are WET files, folders, globs (in quotes), URLs, or listings (wet.paths.gz). Interrupted, the same command
    continues where it stopped.
    """
    from wetstream.commands.terminal.interruption import interruptible
    from wetstream.commands.terminal.progress import ProgressDisplay
    from wetstream.commands.terminal.sources import show_outcomes, show_plan

    if dry_run:
        planned, total = pipeline.plan(*sources, options=options)
        if as_json:
            rows = [dataclasses.asdict(row) for row in planned]
            out.json({"sources": rows, "total": dataclasses.asdict(total)})
        else:
            show_plan(out, planned, total)
        sys.exit(any(row.action in ("refused", "changed", "removing") for row in planned))
    with (
        interruptible(pipeline) as interruption,
        ProgressDisplay(err, ingest=True, stream=False, follow=options.follow) as display,
        health_server(pipeline.settings, display.show, streaming=False) as pipeline.on_event,
    ):
        outcomes = pipeline.ingest(*sources, options=options)
    if as_json:
        out.json(outcome_rows(outcomes))
    else:
        show_outcomes(out, outcomes)
    sys.exit(exit_code(outcomes, options, interruption.exit_code))


@command(commands, name="stream")
@profile_option
@click.option("--once", is_flag=True, help="Stop at the end of the topic.")
def stream_command(pipeline: Pipeline, once: bool) -> None:
    """Process the topic, until stopped (Ctrl-C).

    Records go into the documents table and the statistics. A stream that is asked to stop ends after the current
    micro-batch with exit code 0; with --once, which then has not come to the end, with 130 or 143.
    """
    from wetstream.commands.terminal.interruption import interruptible
    from wetstream.commands.terminal.progress import ProgressDisplay

    with (
        interruptible(pipeline) as interruption,
        ProgressDisplay(err, ingest=False, stream=True) as display,
        health_server(pipeline.settings, display.show, streaming=True) as pipeline.on_event,
    ):
        pipeline.stream(once=once)
    if once:
        sys.exit(interruption.exit_code)


def outcome_rows(outcomes: list[Outcome]) -> list[dict[str, Any]]:
    """Return outcomes for JSON: identities as they are, secrets in messages masked."""
    rows = [dataclasses.asdict(outcome) for outcome in outcomes]
    return [row | {"message": redact(row["message"]), "damage": redact_values(row["damage"])} for row in rows]


def exit_code(outcomes: list[Outcome], options: IngestOptions | None, interrupted: int) -> int:
    """Return the exit code of an ingestion. Following ends only by being stopped, which is then no failure."""
    if options is not None and options.follow:
        return int(not all(outcome.finished or outcome.resumes for outcome in outcomes))
    if interrupted:
        return interrupted
    return int(not all(outcome.finished for outcome in outcomes))


def _counted(pipeline: Pipeline) -> bool:
    """Whether a micro-batch has been committed."""
    from wetstream import NoStatisticsError

    try:
        return pipeline.statistics.as_of()["time"] is not None
    except NoStatisticsError:
        return False
