"""Commands that ask the live statistics."""

from __future__ import annotations

from typing import Any, Literal, cast

import click

from wetstream import Pipeline
from wetstream.commands.options import NAME, command, json_option, limit_option, max_df_option, min_df_option
from wetstream.commands.terminal.output import out

commands = click.Group()


@command(commands, name="stats")
@min_df_option
@max_df_option
@json_option
def stats_command(pipeline: Pipeline, min_df: int, max_df: float | None, as_json: bool) -> None:
    """Show totals, document lengths and rejected records.

    Thresholds apply to this view of the words and tokens, not to what is stored.
    """
    from wetstream import View
    from wetstream.commands.terminal.statistics import show_stats

    stats = pipeline.statistics.stats(View(min_df, max_df))
    if as_json:
        out.json(stats)
    else:
        show_stats(out, stats)


@command(commands, name="top")
@limit_option("words")
@min_df_option
@max_df_option
@click.option("--by", type=click.Choice(["tf", "df"]), default="tf", help="Order: term or document frequency.")
@json_option
def top_command(
    pipeline: Pipeline, limit: int, min_df: int, max_df: float | None, by: Literal["tf", "df"], as_json: bool
) -> None:
    """Show the most frequent words."""
    from wetstream import View
    from wetstream.commands.terminal.statistics import show_words

    answer = pipeline.statistics.top(limit, View(min_df, max_df), by=by)
    if as_json:
        out.json(answer)
    else:
        show_words(out, answer["words"])


@command(commands, name="word")
@click.argument("words", nargs=-1, required=True, type=NAME, metavar="WORD...")
@json_option
def word_command(pipeline: Pipeline, words: tuple[str, ...], as_json: bool) -> None:
    """Show frequencies, idf and rank of words.

    tf: occurrences; df: documents that hold the word; idf: ln(documents / df); rank: by tf. Says of a word that was
    never counted whether the rules leave it out.
    """
    from wetstream.commands.terminal.statistics import show_words

    answer = pipeline.statistics.words(words)
    if as_json:
        out.json(answer["words"] if len(words) > 1 else answer["words"][0])
        return
    show_words(out, answer["words"])
    for row in answer["words"]:
        if not row["df"]:
            out.line(f"{row['word']}: {pipeline.why_absent(row['word'])}", "dim")


@command(commands, name="segments")
@json_option
def segments_command(pipeline: Pipeline, as_json: bool) -> None:
    """Show the ledger: what became of each source."""
    from wetstream.commands.terminal.sources import show_segments

    rows = pipeline.sources()
    if as_json:
        out.json(rows)
    else:
        show_segments(out, rows)


def _pages_command(name: Literal["languages", "tlds", "days"], help_text: str) -> None:
    @command(commands, name=name, help=help_text)
    @limit_option("lines")
    @json_option
    def pages(pipeline: Pipeline, limit: int, as_json: bool) -> None:
        from wetstream.commands.terminal.statistics import show_pages

        rows = cast("dict[str, Any]", pipeline.statistics.pages_by(name))[name]
        if as_json:
            out.json(rows)
        else:
            show_pages(out, rows, limit)


_pages_command("languages", "Show pages and kept documents by language.")
_pages_command("tlds", "Show pages and kept documents by top-level domain.")
_pages_command("days", "Show pages and kept documents by day of crawling, latest first.")


@command(commands, name="hosts")
@click.argument("part", type=NAME, required=False)
@limit_option("hosts")
@json_option
def hosts_command(pipeline: Pipeline, part: str | None, limit: int, as_json: bool) -> None:
    """Show the hosts with the most pages.

    With PART, only hosts that contain it. They are counted from the documents table.
    """
    from wetstream.commands.terminal.statistics import show_hosts

    answer = pipeline.statistics.hosts(limit, contains=part or "")
    if as_json:
        out.json(answer)
    else:
        show_hosts(out, answer["hosts"])


@command(commands, name="batches")
@limit_option("micro-batches", 500)
@json_option
def batches_command(pipeline: Pipeline, limit: int, as_json: bool) -> None:
    """Show the last micro-batches, with seconds by phase.

    Newest first: rows, bytes, words, files. Phases: `process` is Spark's action, `table` and `redis` are the commits.
    """
    from wetstream.commands.terminal.statistics import show_batches

    answer = pipeline.statistics.batches(limit)
    if as_json:
        out.json(answer)
    else:
        show_batches(out, answer["batches"])
