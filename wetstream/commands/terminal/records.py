"""One record on a terminal, and the documents table with its generations."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.text import Text

from conf.errors import counted
from wetstream.commands.terminal.output import Terminal, table
from wetstream.commands.terminal.sources import source_names
from wetstream.commands.terminal.text import printable, size

if TYPE_CHECKING:
    from wetstream import Explanation, GenerationInfo, PipelineInfo, Upgrade

SHOWN_SOURCES = 3  # of a commit


def show_explanation(
    console: Terminal, name: str, url: str | None, profile: str, explanation: Explanation, examples: int
) -> None:
    """Show how a page was judged."""
    verdict = "kept" if explanation.reason is None else f"rejected: {explanation.reason}"
    console.line(url or name, "bold")
    if url:
        console.line(name, "dim")
    shown = table("", "", wrapped=1, show_header=False)
    shown.columns[0].style = "dim"
    shown.add_row("profile", profile)
    shown.add_row("verdict", verdict)
    method = {"header": "by the WARC header", "detect": "detected by CLD2"}.get(explanation.method or "", "")
    wanted = "" if explanation.wanted_language is None else f"; wanted: {explanation.wanted_language}"
    shown.add_row("language", f"{explanation.language or 'unknown'} {method}".strip() + wanted)
    shown.add_row("valid tokens", f"{explanation.valid_tokens:,} (at least {explanation.min_valid_tokens} are wanted)")
    # Under each total, parts that add up to it.
    shown.add_row("  in the bag", f"{explanation.length:,}, {counted(len(explanation.bag), 'different word')}")
    valid, dropped = explanation.left_out_of_valid, explanation.left_out_of_dropped
    for cause, left in valid.items():
        shown.add_row(f"  {cause}", _left_out(left.count, left.examples))
    shown.add_row("dropped tokens", f"{explanation.dropped_tokens:,}")
    for cause, left in dropped.items():
        shown.add_row(f"  {cause}", _left_out(left.count, left.examples))
    ranked = sorted(explanation.bag.items(), key=lambda item: (-item[1], item[0]))[: 3 * examples]
    shown.add_row("bag", "  ".join(f"{word} {n}" for word, n in ranked))
    console.print(shown)


def _left_out(tokens: int, examples: Sequence[str]) -> Text:
    count = f"{tokens:,}"
    text = Text(f"{count}  " + "  ".join(printable(example) for example in examples))
    text.stylize("dim", len(count))
    return text


def show_record(console: Terminal, key: bytes | None, value: bytes, row: Mapping[str, Any] | None) -> None:
    """Show a message of the topic as it is, and its row."""
    console.line((key or b"(no key)").decode("utf-8", "surrogateescape"), "bold")
    console.data(value.decode("utf-8", "surrogateescape"))
    console.line("not processed yet" if row is None else row_line(row), "dim")


def row_line(row: Mapping[str, Any]) -> str:
    """Return a documents row in one line, without its bag."""
    shown = {key: value for key, value in row.items() if key not in ("words", "counts") and value is not None}
    return "  ".join(f"{key}={value}" for key, value in shown.items())


def show_commits(console: Terminal, commits: Sequence[Mapping[str, Any]]) -> None:
    """Show commits of the documents table, newest first."""
    shown = table(right=("version",))
    shown.add_column("time", no_wrap=True)
    shown.add_column("operation")
    shown.add_column("sources")
    named = [source for commit in commits for source in commit["sources"][:SHOWN_SOURCES]]
    names = dict(zip(named, source_names(named), strict=True))
    for commit in commits:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(commit["timestamp"] / 1000))
        sources, more = commit["sources"], commit["sources_omitted"]
        if len(sources) > SHOWN_SOURCES:
            sources, more = sources[:SHOWN_SOURCES], more + len(sources) - SHOWN_SOURCES
        cells: list[RenderableType] = [names[source] for source in sources]
        cells += [Text(f"{more:,} more")] if more else []
        shown.add_row(str(commit.get("version", "")), when, str(commit.get("operation", "")), Group(*cells))
    console.print(shown)


def show_generations(console: Terminal, rows: Sequence[GenerationInfo]) -> None:
    """Show generations, oldest first."""
    if not rows:
        console.line("no generation yet: run something first")
        return
    shown = table("generation", "state", "profile", right=("records",))
    for row in rows:
        style = "bold" if row.state == "live" else ""
        shown.add_row(row.generation, row.state, row.profile or "", f"{row.records:,}", style=style)
    console.print(shown)


def show_upgrade(console: Terminal, done: Upgrade, pipeline: str) -> None:
    """Show what an upgrade has done, or would do."""
    if not done.needed:
        console.line(f"pipeline {pipeline} is of this version (schema version {done.to_version}): nothing to do")
        return
    versions = f"schema version {done.schema_version} -> {done.to_version}"
    what = f"{counted(done.records, 'row')} in {counted(done.files, 'file')}, {size(done.bytes)}"
    if done.upgraded is None:
        console.line(f"generation {done.generation} would be rewritten, {versions}: {what}")
    else:
        console.line(f"generation {done.upgraded} is live, {versions}: {what} rewritten")
        console.line(
            f"generation {done.generation} is kept for the version that made it: `wetstream generations drop "
            f"{done.generation}` deletes it",
            "dim",
        )
    for note in done.notes:
        console.line(note, "yellow")


def show_pipelines(console: Terminal, rows: Sequence[PipelineInfo], chosen: str) -> None:
    """Show pipelines; the one that commands work on without --pipeline is bold."""
    if not rows:
        console.line("no pipeline yet: run something first")
        return
    topics = {True: "yes", False: "no", None: "unknown"}
    shown = table("pipeline", "live", "profile", "topic", right=("records",))
    for row in rows:
        figures = "" if row.generation is None else f"{row.records:,}"
        style = "bold" if row.name == chosen else ""
        shown.add_row(row.name, row.generation or "", row.profile or "", topics[row.topic], figures, style=style)
    console.print(shown)
    for row in rows:
        if row.problem:
            console.line(f"{row.name}: {row.problem}", "red")
