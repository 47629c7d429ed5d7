"""Commands with made-up pages: `sample` and `demo`."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import click

from conf.errors import counted
from wetstream import Pipeline
from wetstream.commands.ingest import exit_code, ingest_and_stream, show_run
from wetstream.commands.options import MAX_COUNT, Count, FilePath, Number, command, json_option
from wetstream.commands.terminal.output import out
from wetstream.commands.terminal.text import size

DEMO_RECORDS = 2_000

commands = click.Group()


@command(commands, name="sample")
@click.argument("path", type=FilePath(path_type=Path))
@click.option("--records", type=Count(1, MAX_COUNT), help="Pages per file (default: 1000).")
@click.option("--mb", type=Number(0, 1_000_000, min_open=True), help="Size of a file in MB, uncompressed.")
@click.option("--files", type=Count(1, 1_000_000), default=1, help="How many files; PATH is then a folder.")
@click.option("--seed", type=Count(0, 2**63 - 1), default=1, help="Another seed makes other pages.")
@click.option("--language-headers/--no-language-headers", default=True, help="Whether records name their language.")
@json_option
def sample_command(
    pipeline: Pipeline,
    path: Path,
    records: int | None,
    mb: float | None,
    files: int,
    seed: int,
    language_headers: bool,
    as_json: bool,
) -> None:
    """Write WET files of made-up pages.

    Their statistics are those of real pages. PATH is a file, or a folder (with --files, or a slash at its end) for
    files under crawl paths.
    """
    from wetstream import write_sample

    raw_bytes = None if mb is None else int(mb * 1_000_000)
    if files > 1 or str(path).endswith("/"):
        path.mkdir(parents=True, exist_ok=True)
    if records is None and raw_bytes is None:
        records = 1000
    made = [
        write_sample(
            path, records=records, raw_bytes=raw_bytes, seed=seed, file=file, language_headers=language_headers
        )
        for file in range(files)
    ]
    if as_json:
        out.json([dataclasses.asdict(summary) for summary in made])
        return
    for summary in made:
        sizes = f"{size(summary.raw_bytes)} ({size(summary.gz_bytes)} compressed)"
        out.line(f"{summary.path}: {counted(summary.records, 'record')}, {sizes}")


@command(commands, name="demo")
def demo_command(pipeline: Pipeline) -> None:
    """Run a made-up segment through the pipeline `demo`.

    Each time, one more segment is added.
    """
    from wetstream import View
    from wetstream.commands.terminal.statistics import show_words

    pipeline.settings = pipeline.settings.model_copy(update={"pipeline": "demo"})
    segment = next_segment(pipeline.settings.home / "demo")
    out.line(f"made {segment.name} ({size(segment.stat().st_size)}): real WET, made-up pages")
    try:
        outcomes, interrupted = ingest_and_stream(pipeline, (str(segment),))
        show_run(pipeline, outcomes, interrupted)
        if not interrupted:
            out.line()
            out.line("the ten most frequent words of at most half of the documents", "dim")
            show_words(out, pipeline.statistics.top(10, View(max_df=0.5))["words"])
    finally:
        if pipeline.servers_started:
            pipeline.stop_servers()
    out.line()
    out.line("Now your own WET files: `wetstream run FILE...`; `wetstream --help` lists all commands.", "dim")
    sys.exit(exit_code(outcomes, None, interrupted))


def next_segment(folder: Path) -> Path:
    """Write the next sample file that is not there yet; return its path."""
    from wetstream import write_sample

    folder.mkdir(parents=True, exist_ok=True)
    made = sum(1 for _ in folder.rglob("*.wet.gz"))
    return write_sample(folder, records=DEMO_RECORDS, file=made).path
