"""Commands that ask the live statistics, or those of a part of the corpus."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, cast

import click

from wetstream import Pipeline
from wetstream.commands.options import (
    MAX_COUNT,
    NAME,
    Count,
    command,
    json_option,
    limit_option,
    max_df_option,
    min_df_option,
)
from wetstream.commands.terminal.output import out

if TYPE_CHECKING:
    from wetstream import LiveStatistics, SliceStatistics

commands = click.Group()

SLICE_OPTIONS = (
    click.option(
        "--as-of",
        type=NAME,
        metavar="POINT",
        help="As the numbers were: a version of the documents table, a time, or `after NAME` of a source or segment.",
    ),
    click.option(
        "--source",
        "--segment",
        "--crawl",
        "sources",
        type=NAME,
        multiple=True,
        metavar="NAME",
        help="Only this source, segment or crawl (several times: any of them).",
    ),
    click.option("--language", "languages", type=NAME, multiple=True, metavar="CODE", help="Only this language."),
    click.option("--tld", "tlds", type=NAME, multiple=True, metavar="TLD", help="Only this top-level domain."),
    click.option("--host", "hosts", type=NAME, multiple=True, metavar="HOST", help="Only this host."),
    click.option("--day", "days", type=NAME, metavar="DAY[..DAY]", help="Only pages crawled on these days."),
    click.option(
        "--once",
        type=click.Choice(["url", "url-latest", "bag", "bag-latest"]),
        help="Count pages of one URL, or with the same bag of words, once: the first or the latest.",
    ),
)


def slice_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that `chosen_statistics` takes."""
    for option in reversed(SLICE_OPTIONS):
        function = option(function)
    return function


def chosen_statistics(pipeline: Pipeline, chosen: dict[str, Any]) -> LiveStatistics | SliceStatistics:
    """Return the live statistics, or those of a slice if any option chooses one."""
    return pipeline.slice(**chosen) if any(chosen.values()) else pipeline.statistics


@command(commands, name="stats")
@min_df_option
@max_df_option
@slice_options
@json_option
def stats_command(pipeline: Pipeline, min_df: int, max_df: float | None, as_json: bool, **chosen: Any) -> None:
    """Show totals, document lengths and rejected records.

    Thresholds apply to this view of the words and tokens, not to what is stored.
    """
    from wetstream import LiveStatistics, View
    from wetstream.commands.terminal.statistics import show_stats, slice_line

    statistics = chosen_statistics(pipeline, chosen)
    stats = statistics.stats(View(min_df, max_df))
    if as_json:
        out.json(stats)
    elif isinstance(statistics, LiveStatistics):
        show_stats(out, stats)
    else:
        committed = stats["as_of"]["time"] or 0.0
        show_stats(out, stats, slice_line(str(statistics.slice), statistics.table_version, committed))


@command(commands, name="top")
@limit_option("words")
@min_df_option
@max_df_option
@click.option("--by", type=click.Choice(["tf", "df"]), default="tf", help="Order: term or document frequency.")
@slice_options
@json_option
def top_command(
    pipeline: Pipeline,
    limit: int,
    min_df: int,
    max_df: float | None,
    by: Literal["tf", "df"],
    as_json: bool,
    **chosen: Any,
) -> None:
    """Show the most frequent words."""
    from wetstream import View
    from wetstream.commands.terminal.statistics import show_words

    answer = chosen_statistics(pipeline, chosen).top(limit, View(min_df, max_df), by=by)
    if as_json:
        out.json(answer)
    else:
        show_words(out, answer["words"])


@command(commands, name="word")
@click.argument("words", nargs=-1, required=True, type=NAME, metavar="WORD...")
@slice_options
@json_option
def word_command(pipeline: Pipeline, words: tuple[str, ...], as_json: bool, **chosen: Any) -> None:
    """Show frequencies, idf and rank of words.

    tf: occurrences; df: documents that hold the word; idf: ln(documents / df); rank: by tf. Says of a word that was
    never counted whether the rules leave it out.
    """
    from wetstream.commands.terminal.statistics import show_words

    answer = chosen_statistics(pipeline, chosen).words(words)
    if as_json:
        out.json(answer["words"] if len(words) > 1 else answer["words"][0])
        return
    show_words(out, answer["words"])
    if any(chosen.values()):
        return  # what a slice lacks may be elsewhere
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
    @slice_options
    @json_option
    def pages(pipeline: Pipeline, limit: int, as_json: bool, **chosen: Any) -> None:
        from wetstream.commands.terminal.statistics import show_pages

        rows = cast("dict[str, Any]", chosen_statistics(pipeline, chosen).pages_by(name))[name]
        if as_json:
            out.json(rows)
        else:
            show_pages(out, rows, limit)


_pages_command("languages", "Show pages and kept documents by language.")
_pages_command("tlds", "Show pages and kept documents by top-level domain.")
_pages_command("days", "Show pages by day of crawling, latest first.")


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


@command(commands, name="diff")
@click.argument("a", type=NAME, metavar="A")
@click.argument("b", type=NAME, metavar="B")
@click.option(
    "--by",
    type=click.Choice(["g2", "ratio"]),
    default="g2",
    help="Order: g2, how sure the difference is, or ratio, how large it is.",
)
@click.option(
    "--min-df", type=Count(1, MAX_COUNT), default=1, metavar="N", help="Only words in at least N documents of both."
)
@limit_option("words from each side")
@json_option
def diff_command(
    pipeline: Pipeline, a: str, b: str, by: Literal["g2", "ratio"], min_df: int, limit: int, as_json: bool
) -> None:
    """Compare two parts of the corpus, or two points in time.

    A and B are `now`, or KEY=VALUE (several with commas) with the keys as-of, source, segment, crawl, language, tld,
    host, day and once: `wetstream diff "as-of=after 1480698540409.8" now`, `wetstream diff language=deu language=eng`.

    Words are ranked by log-likelihood (G2), or by the log ratio of their relative frequencies; both are exact counts.
    """
    from wetstream.commands.terminal.comparison import show_comparison

    answer = pipeline.diff(a, b).answer(by=by, min_df=min_df, limit=limit)
    if as_json:
        out.json(answer)
    else:
        show_comparison(out, answer)


@command(commands, name="trends")
@click.argument("words", nargs=-1, type=NAME, metavar="[WORD]...")
@click.option(
    "--by", type=click.Choice(["day", "segment"]), default="day", help="Periods: days of crawling, or segments."
)
@click.option(
    "--min-df",
    type=Count(1, MAX_COUNT),
    default=5,
    show_default=True,
    metavar="N",
    help="Words in at least N documents.",
)
@limit_option("words")
@slice_options
@json_option
def trends_command(
    pipeline: Pipeline,
    words: tuple[str, ...],
    by: Literal["day", "segment"],
    min_df: int,
    limit: int,
    as_json: bool,
    **chosen: Any,
) -> None:
    """Show where words depart from their past, by day or segment.

    Each period is compared with all before it, by the documents that hold a word: Dunning's log-likelihood ratio (G2)
    says how sure the departure is. With WORDs, shows each of them period by period.
    """
    from wetstream import Slice
    from wetstream.commands.terminal.trends import show_curve, show_departures

    trends = pipeline.trends(*words, by=by, chosen=Slice.make(chosen.pop("as_of"), **chosen), min_df=min_df)
    if words:
        curves = {word: trends.curve(word.lower()) for word in words}
        if as_json:
            out.json(curves)
            return
        for word, rows in curves.items():
            show_curve(out, word, rows)
        return
    departures = trends.departures(limit).to_pylist()
    if as_json:
        out.json({"periods": trends.periods, "documents": trends.documents.tolist(), "words": departures})
    else:
        show_departures(out, trends.periods, departures)
