"""Words by period, on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from wetstream.commands.terminal.output import Terminal, table

BARS = "▁▂▃▄▅▆▇█"
PLAIN_BARS = "_.:-=+*#"
CURVE_WIDTH = 30


def show_departures(console: Terminal, periods: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Show the greatest departure of each word."""
    if len(periods) < 2:
        console.line("fewer than two periods: there is no past to compare with", "dim")
        return
    shown = table("word", "period", right=("documents", "expected", "log ratio", "G2", "curve"))
    for row in rows:
        shown.add_row(
            row["word"],
            row["period"],
            f"{row['df']:,}",
            f"{row['expected']:,.1f}",
            f"{row['log_ratio']:+.2f}",
            f"{row['g2']:+,.1f}",
            sparkline(row["curve"], console.encoding),
        )
    console.print(shown)
    console.line(f"{periods[0]} to {periods[-1]}, {len(periods)} periods", "dim")


def show_curve(console: Terminal, word: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Show a word period by period."""
    console.line(f"{word}  {sparkline([row['share'] for row in rows], console.encoding)}")
    shown = table("period", right=("documents", "with it", "share", "expected", "log ratio", "G2"))
    for row in rows:
        departs = row["g2"] is not None
        shown.add_row(
            row["period"],
            f"{row['documents']:,}",
            f"{row['df']:,}",
            f"{row['share']:.2%}",
            f"{row['expected']:,.1f}" if departs else "-",
            f"{row['log_ratio']:+.2f}" if departs else "-",
            f"{row['g2']:+,.1f}" if departs else "-",
        )
    console.print(shown)


def sparkline(values: Sequence[float], encoding: str) -> str:
    """Draw a curve in one line; of many values, each bar is the mean of some."""
    if not values:
        return ""
    width = min(CURVE_WIDTH, len(values))
    bounds = [len(values) * at // width for at in range(width + 1)]
    means = [sum(values[a:b]) / (b - a) for a, b in pairwise(bounds)]
    bars = BARS
    try:
        bars.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        bars = PLAIN_BARS
    greatest = max(means) or 1.0
    return "".join(bars[min(len(bars) - 1, int(mean / greatest * len(bars)))] for mean in means)
