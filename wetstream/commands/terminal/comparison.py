"""Two slices on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wetstream.commands.terminal.output import Terminal, table

SHARES = 5


def show_comparison(console: Terminal, answer: Mapping[str, Any]) -> None:
    """Show totals of both sides, the words that set them apart, and the languages and domains that differ most."""
    a, b = answer["a"], answer["b"]
    totals = table("", right=("A", "B"))
    for name in ("documents", "tokens", "words"):
        totals.add_row(name, f"{a[name]:,}", f"{b[name]:,}")
    totals.add_row("mean length", _figure(a["length"]["mean"], ",.1f"), _figure(b["length"]["mean"], ",.1f"))
    totals.add_row("URLs", f"{answer['urls']['a']:,}", f"{answer['urls']['b']:,}")
    for name, side in (("A", a), ("B", b)):
        console.line(f"{name}: {side['slice']} (version {side['table_version']} of the documents)", "dim")
    console.print(totals)
    console.line(
        f"{answer['urls']['both']:,} URLs are in both; {answer['gone_words']:,} words are in A only, "
        f"{answer['new_words']:,} in B only",
        "dim",
    )
    words = answer["words"]
    for title, rows in (
        ("more frequent in A", [row for row in words if row["g2"] > 0]),
        ("more frequent in B", [row for row in reversed(words) if row["g2"] < 0]),
    ):
        if rows:
            console.line()
            _show_words(console, title, rows)
    for name, title in (("languages", "language"), ("tlds", "domain")):
        rows = [row for row in answer[name][:SHARES] if row["share_a"] != row["share_b"]]
        if rows:
            console.line()
            _show_shares(console, title, rows)


def _show_words(console: Terminal, title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    shown = table(title, right=("A per million", "B per million", "log ratio", "G2", "p"))
    for row in rows:
        shown.add_row(
            row["word"],
            f"{row['per_million_a']:,.1f}",
            f"{row['per_million_b']:,.1f}",
            f"{row['log_ratio']:+.2f}",
            f"{abs(row['g2']):,.1f}",
            "<0.0001" if row["p"] < 0.0001 else f"{row['p']:.4f}",
        )
    console.print(shown)


def _show_shares(console: Terminal, title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    shown = table(title, right=("A pages", "B pages", "A share", "B share"))
    for row in rows:
        shown.add_row(
            row["name"],
            f"{row['pages_a']:,}",
            f"{row['pages_b']:,}",
            _figure(row["share_a"], ".1%"),
            _figure(row["share_b"], ".1%"),
        )
    console.print(shown)


def _figure(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
