"""Commands about the whole vocabulary: `vocabulary`, `search`, `zipf`, `growth`."""

from __future__ import annotations

from pathlib import Path

import click

from conf.errors import counted
from wetstream import Pipeline
from wetstream.commands.options import NAME, command, json_option, limit_option, max_df_option, min_df_option
from wetstream.commands.terminal.output import err, out

commands = click.Group()


@command(commands, name="vocabulary")
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
@min_df_option
@max_df_option
def vocabulary_command(pipeline: Pipeline, file: Path | None, min_df: int, max_df: float | None) -> None:
    """Write the whole vocabulary.

    Every word with tf, df and idf, the most frequent first. FILE is written in the format of its suffix: .csv, .tsv,
    .parquet or .arrow. Without FILE, lines of tab-separated values are printed.
    """
    words = pipeline.vocabulary(min_df=min_df, max_df=max_df)
    if file is None:
        table = words.to_arrow()
        out.rows([table.column_names])
        out.rows(row for batch in table.to_batches(10_000) for row in zip(*batch.to_pydict().values(), strict=True))
        return
    words.write(file)
    err.line(f"{counted(len(words), 'word')} written to {file}", "dim")


@command(commands, name="search")
@click.argument("text", type=NAME)
@click.option("--contains", is_flag=True, help="Words that contain TEXT anywhere, not only at their beginning.")
@limit_option("words")
@min_df_option
@max_df_option
@json_option
def search_command(
    pipeline: Pipeline, text: str, contains: bool, limit: int, min_df: int, max_df: float | None, as_json: bool
) -> None:
    """Show words that begin with TEXT, the most frequent first."""
    from wetstream import View
    from wetstream.commands.terminal.statistics import show_words

    where = {"contains" if contains else "prefix": text}
    answer = pipeline.statistics.snapshot().search("tf", limit, 0, View(min_df, max_df), **where)
    if as_json:
        out.json(answer)
        return
    show_words(out, answer["words"])
    if answer["total"] > len(answer["words"]):
        out.line(f"… and {answer['total'] - len(answer['words']):,} more (-n shows more)", "dim")


@command(commands, name="zipf")
@min_df_option
@max_df_option
@json_option
def zipf_command(pipeline: Pipeline, min_df: int, max_df: float | None, as_json: bool) -> None:
    """Show the frequency of words by rank.

    The ranks shown are spread evenly over the logarithm of the rank.
    """
    from wetstream import View
    from wetstream.commands.terminal.statistics import show_zipf

    answer = pipeline.statistics.snapshot().zipf(View(min_df, max_df))
    if as_json:
        out.json(answer)
    else:
        show_zipf(out, answer["points"])


@command(commands, name="growth")
@json_option
def growth_command(pipeline: Pipeline, as_json: bool) -> None:
    """Show how the vocabulary grows with the tokens counted."""
    from wetstream.commands.terminal.statistics import show_growth

    answer = pipeline.statistics.growth()
    if as_json:
        out.json(answer)
    else:
        show_growth(out, answer["points"])
