"""Commands that write corpora: `p21` and `export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from conf.errors import counted
from wetstream import Pipeline
from wetstream.commands.options import (
    MAX_COUNT,
    NAME,
    PATH_OR_URL,
    Count,
    FilePath,
    Number,
    command,
    json_option,
    max_df_option,
    min_df_option,
)
from wetstream.commands.terminal.output import err, out

if TYPE_CHECKING:
    from wetstream.p21.job import JobResult

FORMATS = ("p21", "svmlight", "ldac", "matrixmarket", "parquet")
LISTED = 10

commands = click.Group()

overwrite_option = click.option("--overwrite", is_flag=True, help="Replace what an earlier run wrote there.")


@command(commands, name="p21")
@click.argument("data_path", type=PATH_OR_URL, metavar="DATA_PATH")
@click.argument("names_file", type=FilePath(path_type=Path))
@click.argument("stop_words_file", type=FilePath(path_type=Path))
@click.argument("threshold", metavar="LOW_FREQ_THRESHOLD", type=Count(0, MAX_COUNT))
@click.argument("cores", metavar="CORE_COUNT", type=Count(1, 10_000))
@click.argument("output", metavar="OUTPUT_DIRECTORY", type=FilePath(path_type=Path))
@click.option(
    "--max-df",
    type=Number(0, MAX_COUNT, min_open=True),
    default=0.9,
    show_default=True,
    help="Words in at least this share of the documents are left out.",
)
@overwrite_option
@json_option
def p21_command(
    pipeline: Pipeline,
    data_path: str,
    names_file: Path,
    stop_words_file: Path,
    threshold: int,
    cores: int,
    output: Path,
    max_df: float,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Run the batch job of CMU 15-719 P2.1, on Spark alone.

    Writes dictionary, frequencies, statistics and corpus. DATA_PATH holds the WET files. NAMES_FILE names them, one
    crawl path per line; in the names of the files its slashes may be underscores.
    """
    from wetstream.p21.job import JobRequest, run_p21

    request = JobRequest(data_path, names_file, stop_words_file, threshold, cores, output, max_df, overwrite)
    done = run_p21(pipeline.settings, request, _note)
    if as_json:
        rejected = dict(sorted(done.sums.reasons().items()))
        totals = {"words": done.words, "documents": done.totals.documents, "tokens": done.totals.tokens}
        out.json({"read": done.sums.totals(), "rejected": rejected, "written": totals})
    else:
        for line in done.statistics:
            out.line(line)
    _report(done)


@command(commands, name="export")
@click.argument("form", metavar="FORMAT", type=click.Choice(FORMATS))
@click.argument("folder", metavar="DIR|URL", type=PATH_OR_URL)
@min_df_option
@max_df_option
@click.option("--stop-words", type=FilePath(path_type=Path), metavar="FILE", help="Leave these words out too.")
@click.option(
    "--language", "languages", multiple=True, type=NAME, metavar="CODE", help="Only documents in this language."
)
@click.option(
    "--source", "sources", multiple=True, type=PATH_OR_URL, metavar="NAME", help="Only this source, segment or crawl."
)
@click.option(
    "--as-of",
    type=NAME,
    metavar="POINT",
    help="As the documents were: a version of their table, a time, or `after NAME` of a source or segment.",
)
@click.option(
    "--ids",
    type=click.Choice(["sorted", "stable"]),
    default="sorted",
    help="Number the words in order, or as in all other exports with stable ids.",
)
@overwrite_option
@json_option
def export_command(
    pipeline: Pipeline,
    form: str,
    folder: str,
    min_df: int,
    max_df: float | None,
    stop_words: Path | None,
    languages: tuple[str, ...],
    sources: tuple[str, ...],
    as_of: str | None,
    ids: str,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Write a corpus for topic models.

    The kept documents go into a new folder DIR, or to a URL such as s3://bucket/prefix. FORMAT is one of p21, svmlight,
    ldac, matrixmarket, parquet. Frequencies and thresholds refer to the documents that --language and --source choose
    (both can be repeated).
    """
    from wetstream import View
    from wetstream.commands.terminal.rows import RowsDisplay

    with RowsDisplay(err) as display:
        pipeline.on_event = display.show
        meta = pipeline.export(
            form,
            folder,
            View(min_df, max_df),
            stop_words=stop_words,
            languages=languages,
            sources=sources,
            as_of=as_of,
            stable_ids=ids == "stable",
            overwrite=overwrite,
        )
    if as_json:
        out.json(meta)
        return
    counts = meta["counts"]
    sizes = ", ".join(counted(counts[f"{noun}s"], noun) for noun in ("document", "word", "token"))
    out.line(f"{folder.rstrip('/')}/{meta['corpus']}: {sizes}")
    if not counts["documents"]:
        _note("no document has a word under these options: the corpus is empty")
    elif counts["documents_without_words"]:
        _note(f"{counted(counts['documents_without_words'], 'document')} without a word of the vocabulary left out")


def _report(done: JobResult) -> None:
    """What was read and what was not, on stderr."""
    totals, rejected = done.sums.totals(), done.sums.reasons()
    named = ", ".join(f"{reason} {n:,}" for reason, n in sorted(rejected.items()) if n)
    read, kept = counted(totals["records"], "record"), counted(totals["documents"], "document")
    _note(f"{read} read: {kept} kept; rejected: {named or 'none'}")
    emptied = totals["documents"] - done.totals.documents
    if emptied:
        without = counted(emptied, "document has", "documents have")
        _note(f"{without} no word left under the thresholds: left out of the corpus")
    unreadable = done.unreadable
    for (source, reason), records in list(unreadable.items())[:LISTED]:
        err.line(f"unreadable: {records:,} ({reason}) in {source}", "yellow")
    if len(unreadable) > LISTED:
        _note(f"unreadable records in {counted(len({source for source, _ in unreadable}), 'file')} in all")


def _note(text: str) -> None:
    err.line(text, "dim")
