"""The `wetstream` command."""

from __future__ import annotations

import dataclasses
import datetime
import json
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from conf.settings import Settings
from wetstream.commands import batch as cli_batch
from wetstream.commands import export as cli_export
from wetstream.commands import show
from wetstream.commands.options import (
    CommandError,
    command,
    err,
    json_option,
    log_to_terminal,
    out,
    profile_option,
)
from wetstream.commands.source_options import Wanted, source_options

# Imports that take time stand in the commands that need them, so that `wetstream stats` answers at once.
if TYPE_CHECKING:
    from producers.report import Outcome
    from serving.queries import LiveStatistics

log = logging.getLogger("wetstream")

min_df_option = click.option("--min-df", type=click.IntRange(1), default=1, help="Only words in at least N documents.")
max_df_option = click.option(
    "--max-df", type=click.FloatRange(0, 1), help="Only words in less than this share of the documents."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="wetstream")
def main() -> None:
    """Common Crawl WET files -> Kafka -> Spark Structured Streaming -> documents table and live statistics in Redis."""
    log_to_terminal()


@command(main, name="run")
@source_options
@profile_option
@json_option
def run_command(settings: Settings, wanted: Wanted, as_json: bool) -> None:
    """Everything at once: ingest SOURCES, stream to the end, show the statistics.

    Embedded servers that do not run are started, and left running.
    """
    from serving.queries import LiveStatistics
    from wetstream.commands.display import Display
    from wetstream.pipeline.connections import find_servers, open_redis
    from wetstream.pipeline.ingest import run
    from wetstream.pipeline.spark_session import pipeline_profile

    found, follower = wanted.sources(settings), wanted.follower(settings)
    profile = pipeline_profile(settings)
    servers = find_servers(settings, start=True, log=_note)
    with Display(err, found, ingest=True, stream=True) as display:
        outcomes = run(settings, profile, servers, found, display, allow_copies=wanted.allow_copies, follower=follower)
    stats = LiveStatistics(open_redis(servers.redis_url), settings.pipeline).stats()
    if as_json:
        _print_json({"sources": [dataclasses.asdict(outcome) for outcome in outcomes], "stats": stats})
    else:
        show.show_outcomes(out, outcomes)
        out.print()
        show.show_stats(out, stats)
    if servers.started:
        err.print("\nthe embedded servers stay up for the next command; `wetstream down` ends them", style="dim")
    _exit_by(outcomes, len(found))


@command(main, name="ingest")
@source_options
@click.option("--dry-run", is_flag=True, help="Only show what would be done, and about how long it would take.")
@json_option
def ingest_command(settings: Settings, wanted: Wanted, dry_run: bool, as_json: bool) -> None:
    """Read WET files into the topic: files, folders, globs (in quotes), URLs, or listings (wet.paths.gz)."""
    from wetstream.commands.display import Display
    from wetstream.commands.dry_run import plan
    from wetstream.pipeline.connections import find_servers
    from wetstream.pipeline.ingest import ingest

    if dry_run:
        planned, total = plan(settings, wanted)
        if as_json:
            rows = [dataclasses.asdict(row) for row in planned]
            _print_json({"sources": rows, "total": dataclasses.asdict(total)})
        else:
            show.show_plan(out, planned, total)
        sys.exit(any(row.action in ("refused", "changed", "removing") for row in planned))
    found, follower = wanted.sources(settings), wanted.follower(settings)
    servers = find_servers(settings, start=True, log=_note)
    with Display(err, found, ingest=True, stream=False) as display:
        outcomes = ingest(settings, servers, found, display, allow_copies=wanted.allow_copies, follower=follower)
    if as_json:
        _print_json([dataclasses.asdict(outcome) for outcome in outcomes])
    else:
        show.show_outcomes(out, outcomes)
    _exit_by(outcomes, len(found))


@command(main, name="stream")
@profile_option
@click.option("--once", is_flag=True, help="End when the topic is processed to its end.")
def stream_command(settings: Settings, once: bool) -> None:
    """Process the topic: clean the records, write the documents table, keep the statistics."""
    from wetstream.commands.display import Display
    from wetstream.pipeline.connections import find_servers
    from wetstream.pipeline.ingest import stream
    from wetstream.pipeline.spark_session import pipeline_profile

    profile = pipeline_profile(settings)
    servers = find_servers(settings, start=True, log=_note)
    with Display(err, [], ingest=False, stream=True) as display:
        stream(settings, profile, servers, display, once=once)


@command(main, name="demo")
def demo_command(settings: Settings) -> None:
    """Make a segment of sample pages and run it through the pipeline `demo`; each time one more segment is added."""
    from producers.sources.discover import discover
    from serving.queries import LiveStatistics, View
    from wetstream.commands.demo import next_segment
    from wetstream.commands.display import Display
    from wetstream.pipeline.connections import find_servers, open_redis
    from wetstream.pipeline.ingest import run
    from wetstream.pipeline.spark_session import pipeline_profile
    from wetstream.servers import embedded

    settings = settings.model_copy(update={"pipeline": "demo"})
    profile = pipeline_profile(settings)
    segment = next_segment(settings.home / "demo")
    out.print(f"made {segment.name} ({show.size(segment.stat().st_size)}): real WET, made-up pages")
    servers = find_servers(settings, start=True, log=_note)
    try:
        found = discover([str(segment)])
        with Display(err, found, ingest=True, stream=True) as display:
            outcomes = run(settings, profile, servers, found, display, allow_copies=False)
        statistics = LiveStatistics(open_redis(servers.redis_url), settings.pipeline)
        show.show_outcomes(out, outcomes)
        out.print()
        show.show_stats(out, statistics.stats())
        out.print("\n[dim]the ten most frequent words of at most half of the documents[/]")
        show.show_words(out, statistics.top(10, View(max_df=0.5))["words"])
    finally:
        if servers.started:
            embedded.down(settings.home, _note)
    out.print("\nNow WET files of yours: `wetstream run FILE...`; `wetstream --help` lists everything.", style="dim")
    _exit_by(outcomes, len(found))


@command(main, name="sample")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--records", type=click.IntRange(1), help="Pages a file (default 1000, if --mb is not given).")
@click.option("--mb", type=click.FloatRange(0, min_open=True), help="Size of a file, uncompressed, in MB.")
@click.option("--files", type=click.IntRange(1), default=1, help="How many files; PATH is then a folder.")
@click.option("--seed", type=click.IntRange(0), default=1, help="Another seed makes other pages.")
@click.option("--language-headers/--no-language-headers", default=True, help="Whether records name their language.")
@json_option
def sample_command(
    settings: Settings,
    path: Path,
    records: int | None,
    mb: float | None,
    files: int,
    seed: int,
    language_headers: bool,
    as_json: bool,
) -> None:
    """Make WET files of made-up pages with the statistics of real ones: PATH is a file, or a folder for crawl paths."""
    from producers.sample.writer import write_sample

    raw_bytes = None if mb is None else int(mb * 1_000_000)
    if files > 1 or str(path).endswith("/"):
        path.mkdir(parents=True, exist_ok=True)
    if records is None and raw_bytes is None:
        records = 1000
    try:
        made = [
            write_sample(
                path, records=records, raw_bytes=raw_bytes, seed=seed, file=file, language_headers=language_headers
            )
            for file in range(files)
        ]
    except OSError as error:
        raise CommandError(f"cannot write to {path}: {error.strerror or error}") from None
    if as_json:
        _print_json([dataclasses.asdict(summary) for summary in made])
        return
    for summary in made:
        sizes = f"{show.size(summary.raw_bytes)} ({show.size(summary.gz_bytes)} compressed)"
        out.print(f"{summary.path}: {summary.records:,} records, {sizes}", markup=False, soft_wrap=True)


@command(main, name="explain")
@click.argument("target", metavar="URL|FILE")
@profile_option
@click.option("--record", type=click.IntRange(1), default=1, help="Which page of a WET file (the first is 1).")
@click.option("--examples", type=click.IntRange(0), default=10, help="How many examples of each kind.")
@json_option
def explain_command(settings: Settings, target: str, record: int, examples: int, as_json: bool) -> None:
    """Why a page was kept or not: its language, its valid and dropped tokens, its bag of words.

    URL is looked up in the documents table and read from the topic; FILE is a WET file, or plain text (.txt).
    """
    from streaming.text.explain import explain
    from wetstream.pipeline.lookup import find_page
    from wetstream.pipeline.spark_session import pipeline_profile

    profile = pipeline_profile(settings)
    page = find_page(settings, target, record)
    explanation = explain(page.payload, page.language_header, profile, examples)
    if as_json:
        _print_json({"page": page.name, "url": page.url, "profile": profile.name} | dataclasses.asdict(explanation))
    else:
        show.show_explanation(out, page.name, page.url, profile.name, explanation, examples)


@command(main, name="show")
@click.argument("position", metavar="PARTITION:OFFSET")
@json_option
def show_command(settings: Settings, position: str, as_json: bool) -> None:
    """The record at a position of the topic, as it stood, and its row in the documents table."""
    from wetstream.pipeline.connections import find_servers
    from wetstream.pipeline.lookup import message_at, parse_position, row_at
    from wetstream.pipeline.writer_lease import live_documents

    partition, offset = parse_position(position)
    key, value = message_at(settings, find_servers(settings).bootstrap_servers, partition, offset)
    row = row_at(live_documents(settings), partition, offset)
    if as_json:
        text = {"key": key, "value": value}
        decoded = {name: None if raw is None else raw.decode("utf-8", "backslashreplace") for name, raw in text.items()}
        _print_json({**decoded, "row": row})
        return
    out.print((key or b"(no key)").decode("utf-8", "backslashreplace"), markup=False, style="bold", soft_wrap=True)
    out.print(value.decode("utf-8", "backslashreplace"), markup=False, soft_wrap=True)
    out.print("not processed yet" if row is None else show.row_line(row), markup=False, style="dim", soft_wrap=True)


@command(main, name="verify")
@json_option
def verify_command(settings: Settings, as_json: bool) -> None:
    """Recount everything from the documents table with another engine, compare with Redis, print one digest."""
    from serving.verify.verify import verify
    from wetstream.pipeline.connections import find_redis, open_redis
    from wetstream.pipeline.writer_lease import live_documents

    result = verify(open_redis(find_redis(settings)), settings.pipeline, live_documents(settings))
    if as_json:
        _print_json(dataclasses.asdict(result))
    else:
        for line in result.differences:
            out.print(line, markup=False, style="red")
        verdict = "[bold green]ok[/]" if result.ok else "[bold red]not equal[/]"
        out.print(f"{verdict}: {result.records:,} records, every statistic recounted; digest {result.digest}")
    if not result.ok:
        sys.exit(1)


@main.group(name="documents")
def documents_group() -> None:
    """The documents table: a Delta table that DuckDB, Polars, pandas and Spark read as it is."""


@command(documents_group, name="compact")
def compact_command(settings: Settings) -> None:
    """Join small files now (the stream does it by itself every documents.compact_every micro-batches)."""
    from sinks.documents.compaction import compact
    from wetstream.pipeline.writer_lease import as_writer

    with as_writer(settings) as documents:
        done = compact(
            documents,
            target_bytes=settings.documents.target_file_mb << 20,
            compression_level=settings.documents.compression_level,
        )
    out.print(f"joined {done.files_before:,} small files into {done.files_after:,}")


@command(documents_group, name="vacuum")
@click.option(
    "--retain-hours",
    type=click.FloatRange(0),
    default=168.0,
    help="Keep what was live this long ago (default: a week).",
)
@click.option("--dry-run", is_flag=True, help="Only list what would be deleted.")
def vacuum_command(settings: Settings, retain_hours: float, dry_run: bool) -> None:
    """Delete files that the table does not name any more: joined ones, and those of tasks that died."""
    from wetstream.pipeline.writer_lease import as_writer

    with as_writer(settings) as documents:
        deleted = documents.vacuum(retain_hours, dry_run=dry_run)
    for path in deleted:
        out.print(path, markup=False)
    out.print(f"{len(deleted):,} files {'would be' if dry_run else 'were'} deleted")


@command(documents_group, name="history")
@click.option("-n", "--limit", type=click.IntRange(1), default=20, help="How many commits.")
@json_option
def history_command(settings: Settings, limit: int, as_json: bool) -> None:
    """The last commits to the table."""
    from wetstream.pipeline.writer_lease import live_documents

    commits = live_documents(settings).history(limit)
    if as_json:
        _print_json(commits)
    else:
        show.show_commits(out, commits)


@command(main, name="rebuild")
def rebuild_command(settings: Settings) -> None:
    """Count the statistics in Redis anew from the documents table (no Kafka, no WET files). No stream may run."""
    from wetstream.pipeline.connections import find_redis, open_redis
    from wetstream.pipeline.writer_lease import rebuild

    rebuild(settings, open_redis(find_redis(settings)))
    show.show_stats(out, _statistics(settings).stats())


@command(main, name="up")
def up_command(settings: Settings) -> None:
    """Start the embedded Kafka broker and Redis (those for which no server of yours is configured)."""
    from wetstream.pipeline.connections import start_embedded

    kafka, redis = not settings.kafka.bootstrap_servers, not settings.redis.url
    if not (kafka or redis):
        out.print("nothing to start: servers of yours are configured for both (kafka.bootstrap_servers, redis.url)")
        return
    start_embedded(settings, kafka=kafka, redis=redis, log=_say)


@command(main, name="down")
def down_command(settings: Settings) -> None:
    """End the embedded servers that `up` (or `run`) started here; their data stay."""
    from wetstream.servers import embedded

    if not embedded.down(settings.home, _say):
        out.print(f"nothing to end: no embedded server of {settings.home} runs")


@command(main, name="status")
@json_option
def status_command(settings: Settings, as_json: bool) -> None:
    """How the embedded servers are."""
    from wetstream.servers import embedded

    rows = embedded.status(settings.home)
    if as_json:
        _print_json([dataclasses.asdict(row) for row in rows])
        return
    show.show_servers(out, rows, settings)


@command(main, name="stats")
@min_df_option
@max_df_option
@json_option
def stats_command(settings: Settings, min_df: int, max_df: float | None, as_json: bool) -> None:
    """Totals, lengths and rejected records, live; thresholds are applied to the view, not to what is stored."""
    from serving.queries import View

    stats = _statistics(settings).stats(View(min_df, max_df))
    if as_json:
        _print_json(stats)
    else:
        show.show_stats(out, stats)


@command(main, name="top")
@click.option("-n", "--limit", type=click.IntRange(1), default=20, help="How many words.")
@min_df_option
@max_df_option
@click.option("--by", type=click.Choice(["tf", "df"]), default="tf", help="Order: term or document frequency.")
@json_option
def top_command(
    settings: Settings, limit: int, min_df: int, max_df: float | None, by: Literal["tf", "df"], as_json: bool
) -> None:
    """The most frequent words."""
    from serving.queries import View

    try:
        answer = _statistics(settings).top(limit, View(min_df, max_df), by=by)
    except ValueError as error:
        raise CommandError(str(error)) from None
    if as_json:
        _print_json(answer["words"])
    else:
        show.show_words(out, answer["words"])


@command(main, name="word")
@click.argument("words", nargs=-1, required=True, metavar="WORD...")
@json_option
def word_command(settings: Settings, words: tuple[str, ...], as_json: bool) -> None:
    """Term and document frequency, idf and rank of words."""
    answer = _statistics(settings).words(words)
    if as_json:
        _print_json(answer["words"] if len(words) > 1 else answer["words"][0])
    else:
        show.show_words(out, answer["words"])


@command(main, name="segments")
@json_option
def segments_command(settings: Settings, as_json: bool) -> None:
    """The ledger: what was produced, processed, kept and rejected of each source."""
    from wetstream.pipeline.ledger import ledger
    from wetstream.pipeline.markers import read_markers

    answer = _statistics(settings).sources()
    rows = ledger(answer["sources"], read_markers(settings))
    if as_json:
        _print_json(rows)
    else:
        show.show_segments(out, rows)


def _seen_command(name: str, help_text: str) -> None:
    @command(main, name=name, help=help_text)
    @click.option("-n", "--limit", type=click.IntRange(1), default=20, help="How many lines.")
    @json_option
    def seen(settings: Settings, limit: int, as_json: bool) -> None:
        answer = _statistics(settings).seen(name)
        if as_json:
            _print_json(answer[name])
        else:
            show.show_seen(out, answer[name], limit)


_seen_command("languages", "Pages and kept documents by language.")
_seen_command("tlds", "Pages and kept documents by top-level domain.")
_seen_command("days", "Pages and kept documents by day of crawling.")


@command(main, name="batches")
@click.option("-n", "--limit", type=click.IntRange(1, 500), default=20, help="How many micro-batches.")
@json_option
def batches_command(settings: Settings, limit: int, as_json: bool) -> None:
    """The last micro-batches, newest first: rows, bytes, time by phase, words, files. Why was one slow?"""
    answer = _statistics(settings).batches(limit)
    if as_json:
        _print_json(answer)
    else:
        show.show_batches(out, answer["batches"])


@command(main, name="serve")
@click.option("--host", help="Address to listen on (default: this machine only). Elsewhere a token is needed.")
@click.option("--port", type=click.IntRange(0, 65_535), help="Port to listen on (default 8400; 0: any free one).")
def serve_command(settings: Settings, host: str | None, port: int | None) -> None:
    """Live statistics over HTTP: dashboard at /, JSON under /api/v1, /metrics for Prometheus."""
    from wetstream.pipeline.serve import serve

    changes = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    serve(settings.model_copy(update={"serve": settings.serve.model_copy(update=changes)}), _say)


@command(main, name="doctor")
@json_option
def doctor_command(settings: Settings, as_json: bool) -> None:
    """What is missing or wrong on this machine, and the remedy."""
    from wetstream.commands.doctor import render_checks, run_checks

    checks = run_checks(
        settings.home,
        bootstrap_servers=settings.kafka.bootstrap_servers or None,
        redis_url=settings.redis.url or None,
    )
    if as_json:
        _print_json([dataclasses.asdict(check) for check in checks])
    else:
        render_checks(out, checks)
    if any(check.level == "fail" for check in checks):
        sys.exit(1)


def _statistics(settings: Settings) -> LiveStatistics:
    from serving.queries import LiveStatistics
    from wetstream.pipeline.connections import find_redis, open_redis

    return LiveStatistics(open_redis(find_redis(settings)), settings.pipeline)


def _exit_by(outcomes: list[Outcome], wanted: int) -> None:
    # (Following has no number of sources; it ends by being stopped.)
    if len(outcomes) < wanted or not all(outcome.finished or (not wanted and outcome.resumes) for outcome in outcomes):
        sys.exit(1)


def _print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=_plain))


def _plain(value: Any) -> str:
    if isinstance(value, (Path, datetime.datetime)):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _note(text: str) -> None:
    err.print(text, style="dim", markup=False, soft_wrap=True)


def _say(text: str) -> None:
    out.print(text, markup=False, soft_wrap=True)


cli_batch.add_commands(main)
cli_export.add_commands(main)

if __name__ == "__main__":
    main()
