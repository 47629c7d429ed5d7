"""Statistics on a terminal: totals, words, pages by language, domain and day, and micro-batches."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from conf.errors import counted
from wetstream.commands.terminal.output import Terminal, table
from wetstream.commands.terminal.text import size

# Spark's names of the phases of a micro-batch, and ours.
PHASES = {"addBatch": "process", "table": "table", "redis": "redis", "latestOffset": "offsets", "compact": "compact"}
# Columns of `batches` that a narrow terminal does without, the first one first.
DISPENSABLE = ("compact", "files", "offsets", "words", "payload", "table", "redis", "process")


def show_stats(console: Terminal, stats: Mapping[str, Any], state: str = "") -> None:
    """Show totals, lengths and rejected records; `state` says how current they are, if they are not live."""
    shown = table("", right=("",), show_header=False)
    shown.columns[0].style = "dim"
    view = stats["view"]
    for name in ("sources", "records", "documents", "tokens", "words"):
        shown.add_row(name, f"{stats[name]:,}")
    shown.add_row("payload", size(stats["payload_bytes"]))
    shown.add_row("rejected", f"{sum(stats['rejected'].values()):,}")
    for reason, n in stats["rejected"].items():
        shown.add_row(f"  {reason}", f"{n:,}")
    console.print(shown)
    if view["min_df"] > 1 or view["max_df"] is not None:
        upper = "" if view["max_df"] is None else f" and < {view['max_df']:g} of the documents"
        console.line(f"words and tokens: document frequency >= {view['min_df']}{upper}", "dim")
    length = stats["length"]
    if length["min"] is not None:
        console.line()
        console.line("tokens per document", "dim")
        lengths = table(right=length)
        lengths.add_row(*(f"{value:,.1f}" if isinstance(value, float) else f"{value:,}" for value in length.values()))
        console.print(lengths)
    console.line()
    console.line(state or as_of_line(stats), "dim")


def slice_line(slice: str, version: int, committed: float) -> str:
    """Say what part of the corpus statistics are of, and of when."""
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(committed))
    return f"{slice}: version {version} of the documents, committed {when}"


def as_of_line(stats: Mapping[str, Any]) -> str:
    """Say how current the statistics are."""
    as_of = stats["as_of"]
    lag = "no stream is running" if as_of["lag"] is None else f"{counted(as_of['lag'], 'offset')} behind the topic"
    if as_of["time"] is None:
        return f"profile {stats['profile']}, no micro-batch committed yet ({lag})"
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(as_of["time"]))
    applying = ", applying a micro-batch" if as_of["applying"] else ""
    return f"profile {stats['profile']}, as of {when} ({lag}{applying})"


def show_words(console: Terminal, words: Sequence[Mapping[str, Any]]) -> None:
    """Show words with their frequencies."""
    more = [name for name in ("idf", "rank") if any(name in row for row in words)]
    shown = table("word", right=("tf", "df", *more))
    for row in words:
        figures = [f"{row['tf']:,}", f"{row['df']:,}"]
        figures += [
            "-" if row[name] is None else f"{row[name]:.3f}" if name == "idf" else f"{row[name]:,}" for name in more
        ]
        shown.add_row(row["word"], *figures)
    console.print(shown)


def show_pages(console: Terminal, rows: Sequence[Mapping[str, Any]], limit: int) -> None:
    """Show pages and documents by language, top-level domain or day."""
    shown = table("", right=("pages", "documents"))
    for row in rows[:limit]:
        shown.add_row(row["name"], f"{row['pages']:,}", f"{row['documents']:,}")
    console.print(shown)
    if len(rows) > limit:
        console.line(f"… and {len(rows) - limit:,} more", "dim")


def show_batches(console: Terminal, batches: Sequence[Mapping[str, Any]]) -> None:
    """Show micro-batches: `process` is Spark's action, `table` and `redis` are the commits that follow it."""
    if not batches:
        console.line("no micro-batch was observed yet: start a stream (`wetstream stream`)")
        return
    rows = [_batch_row(batch) for batch in batches]
    hidden: list[str] = []
    while True:
        columns = [name for name in rows[0] if name not in hidden]
        shown = table(right=columns)
        for row in rows:
            shown.add_row(*(row[name] for name in columns))
        if len(hidden) == len(DISPENSABLE) or console.fits(shown):
            break
        hidden.append(DISPENSABLE[len(hidden)])
    console.print(shown)
    if hidden:
        console.line(f"not shown for lack of room: {', '.join(reversed(hidden))} (--json has everything)", "dim")


def _batch_row(batch: Mapping[str, Any]) -> dict[str, str]:
    seconds = phase_seconds(batch["seconds"])
    return {
        "at": time.strftime("%H:%M:%S", time.localtime(batch["at"])),
        "rows": f"{batch['rows']:,}",
        "rows/s": f"{batch['rows_per_s']:,.0f}",
        "payload": size(batch.get("payload_bytes", 0)),
        "words": f"{batch.get('words', 0):,}",
        "files": f"{batch.get('files', 0):,}",
        "seconds": f"{batch['seconds'].get('triggerExecution', 0.0):.2f}",
        **{name: f"{seconds.get(phase, 0.0):.2f}" for phase, name in PHASES.items()},
        "lag": f"{batch['lag']:,}",
    }


def phase_seconds(seconds: Mapping[str, float]) -> dict[str, float]:
    """Return seconds by phase, with Spark's `addBatch` reduced to what is left without our commits."""
    ours = sum(seconds.get(name, 0.0) for name in ("table", "redis", "compact"))
    return {**seconds, "addBatch": max(0.0, seconds.get("addBatch", 0.0) - ours)}


def show_hosts(console: Terminal, rows: Sequence[Mapping[str, Any]]) -> None:
    """Show hosts with their pages."""
    shown = table("host", right=("pages", "documents", "tokens"))
    for row in rows:
        shown.add_row(row["host"], f"{row['pages']:,}", f"{row['documents']:,}", f"{row['tokens']:,}")
    console.print(shown)


def show_zipf(console: Terminal, points: Sequence[Mapping[str, Any]]) -> None:
    """Show the rank-frequency curve in as many lines as fit on a screen."""
    shown = table(right=("rank", "tf", "rank x tf"))
    shown.add_column("word", no_wrap=True, overflow="ellipsis")
    for point in _spread(points):
        rank, tf = point["rank"], point["tf"]
        shown.add_row(f"{rank:,}", f"{tf:,}", f"{rank * tf:,}", point["word"])
    console.print(shown)


def show_growth(console: Terminal, points: Sequence[Mapping[str, Any]]) -> None:
    """Show the growth of the vocabulary in as many lines as fit on a screen."""
    shown = table(right=("tokens", "words", "tokens a word"))
    for point in _spread(points):
        each = point["tokens"] / max(1, point["words"])
        shown.add_row(f"{point['tokens']:,}", f"{point['words']:,}", f"{each:,.1f}")
    console.print(shown)


def _spread(points: Sequence[Mapping[str, Any]], most: int = 20) -> Sequence[Mapping[str, Any]]:
    """Return at most so many of the points, evenly chosen, with the first and the last one."""
    if len(points) <= most:
        return points
    return [points[round(n * (len(points) - 1) / (most - 1))] for n in range(most)]
