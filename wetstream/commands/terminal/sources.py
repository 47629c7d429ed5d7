"""Sources on a terminal: outcomes of an ingestion, its plan, and the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.text import Text

from conf.errors import counted
from wetstream import crawl_and_segment
from wetstream.commands.terminal.output import Terminal, table
from wetstream.commands.terminal.text import duration, end_of, printable, shorten, size

if TYPE_CHECKING:
    from wetstream import Estimate, Outcome, PlannedSource

STATES = {
    "done": "ingested",
    "damaged": "ingested, with damage",
    "already": "already ingested",
    "copy": "skipped: a copy",
    "truncated": "cut off",
    "changed": "refused: other content",
    "removing": "refused: being removed",
    "not_wet": "refused: no WET file",
    "fenced": "taken over",
    "stopped": "stopped",
    "failed": "failed",
}

PLANS = {
    "start": "ingest",
    "resume": "continue where it stopped",
    "already": "nothing: already ingested",
    "still_cut": "nothing: still cut off",
    "copy": "skip: a copy",
    "changed": "refuse: other content",
    "removing": "refuse: being removed",
    "refused": "refuse",
}

NARROWEST = 12


def source_names(sources: Sequence[str]) -> list[SourceName]:
    """Make the cells of a column of sources, shortened together so that different ones differ."""
    texts = [printable(source).removeprefix("file://") for source in sources]
    return [SourceName(text, texts) for text in texts]


class SourceName:
    """A source's identity in a cell, shortened where there is too little room (see `shorten`)."""

    def __init__(self, text: str, column: Sequence[str]) -> None:
        self._text = text
        self._column = column

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        whole = Text(self._text).cell_len
        return Measurement(min(NARROWEST, whole), whole)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        shown = shorten(self._column, options.max_width)[self._text]
        yield Text(end_of(printable(shown, options.encoding), options.max_width), no_wrap=True)


def show_outcomes(console: Terminal, outcomes: Sequence[Outcome]) -> None:
    """Show what became of each source, with messages and damaged places below."""
    shown = table("source", "state", right=("records", "raw", "per s"))
    for outcome, name in zip(outcomes, source_names([each.source for each in outcomes]), strict=True):
        state = STATES.get(outcome.state, outcome.state)
        style = "" if outcome.finished else "yellow"
        speed = f"{size(outcome.raw_bytes / outcome.seconds)}" if outcome.records and outcome.seconds else ""
        figures = (f"{outcome.records:,}", size(outcome.raw_bytes), speed)
        shown.add_row(name, state, *figures, style=style)
    if len(outcomes) > 1:
        finished = sum(outcome.finished for outcome in outcomes)
        records = sum(outcome.records for outcome in outcomes)
        raw = sum(outcome.raw_bytes for outcome in outcomes)
        shown.add_section()
        what = f"{counted(len(outcomes), 'source')}", f"{finished:,} finished"
        shown.add_row(*what, f"{records:,}", size(raw), "", style="bold")
    console.print(shown)
    for outcome in outcomes:
        for line in [outcome.message, *outcome.damage]:
            if line and outcome.state != "already":
                console.line(f"  {line}", "" if outcome.finished else "yellow")


def show_plan(console: Terminal, planned: Sequence[PlannedSource], total: Estimate) -> None:
    """Show what an ingestion would do."""
    shown = table("source", "plan", right=("size", "to read"))
    for row, name in zip(planned, source_names([each.source for each in planned]), strict=True):
        left = size(row.left_bytes) if row.left_bytes else ""
        shown.add_row(name, PLANS.get(row.action, row.action), size(row.bytes), left)
    console.print(shown)
    for row in planned:
        if row.message and row.action != "already":
            console.line(f"  {row.message}", "yellow")
    console.line()
    if not total.sources:
        console.line("nothing to read")
        return
    time = "" if total.seconds is None else f", about {duration(total.seconds)}"
    console.line(
        f"{counted(total.sources, 'source')} to read, {size(total.file_bytes)}: about "
        f"{size(total.raw_bytes)} of records, {size(total.topic_bytes)} in the topic{time}"
    )


def show_segments(console: Terminal, rows: Sequence[Mapping[str, Any]]) -> None:
    """Show the ledger: a line for each source, and sums by crawl."""
    shown = table("source", "state", right=("produced", "processed", "kept", "rejected", "tokens"))
    crawls: dict[str, list[int]] = {}
    for row, name in zip(rows, source_names([each["source"] for each in rows]), strict=True):
        rejected = sum(row["rejected"].values())
        figures = [row["produced"], row["records"], row["documents"], rejected, row["tokens"]]
        shown.add_row(name, row["state"], *(f"{n:,}" for n in figures))
        crawl = crawl_and_segment(row["source"])[0]
        crawls[crawl] = [a + b for a, b in zip(crawls.get(crawl, [0] * 5), figures, strict=True)]
    if len(rows) > 1:
        shown.add_section()
        rest = "of no crawl" if len(crawls) > 1 else "all sources"
        for crawl, figures in crawls.items():
            shown.add_row(
                crawl or rest,
                "",
                *(f"{n:,}" for n in figures),
                style="bold",
            )
    console.print(shown)
