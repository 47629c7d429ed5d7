"""Answers as a person wants to see them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from producers.sources.identity import crawl_and_segment

if TYPE_CHECKING:
    from conf.settings import Settings
    from producers.estimate import Estimate, PlannedSource
    from producers.report import Outcome
    from streaming.text.explain import Explanation
    from wetstream.servers.status import ServerStatus

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
    "resume": "go on where it stopped",
    "already": "nothing: already ingested",
    "still_cut": "nothing: still cut off",
    "copy": "skip: a copy",
    "changed": "refuse: other content",
    "removing": "refuse: being removed",
    "refused": "refuse",
}


def short(source: str, width: int = 60) -> str:
    """The end of a source identity, where its names differ."""
    text = source.removeprefix("file://")
    return text if len(text) <= width else "…" + text[-(width - 1) :]


def size(count: float) -> str:
    """Bytes for people."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:,.0f} {unit}" if unit == "B" else f"{count:,.1f} {unit}"
        count /= 1000
    return f"{count:,.1f} TB"


def show_outcomes(console: Console, outcomes: Sequence[Outcome]) -> None:
    """What became of each source; messages and damaged places below."""
    table = Table(box=None, pad_edge=False)
    for name in ("source", "state"):
        table.add_column(name)
    for name in ("records", "raw", "per s"):
        table.add_column(name, justify="right")
    for outcome in outcomes:
        state = STATES.get(outcome.state, outcome.state)
        style = "" if outcome.finished else "yellow"
        speed = size(outcome.raw_bytes / outcome.seconds) if outcome.records and outcome.seconds else ""
        count = f"{outcome.records:,}"
        table.add_row(short(outcome.source), state, count, size(outcome.raw_bytes), speed, style=style)
    if len(outcomes) > 1:
        finished = sum(outcome.finished for outcome in outcomes)
        records = sum(outcome.records for outcome in outcomes)
        raw = sum(outcome.raw_bytes for outcome in outcomes)
        table.add_section()
        what = f"{len(outcomes):,} sources", f"{finished:,} finished"
        table.add_row(*what, f"{records:,}", size(raw), "", style="bold")
    console.print(table)
    for outcome in outcomes:
        for line in [outcome.message, *outcome.damage]:
            if line and outcome.state not in ("already",):
                console.print(f"  {line}", markup=False, style="" if outcome.finished else "yellow", soft_wrap=True)


def show_plan(console: Console, planned: Sequence[PlannedSource], total: Estimate) -> None:
    """What an ingestion would do."""
    table = Table(box=None, pad_edge=False)
    for name in ("source", "plan"):
        table.add_column(name)
    for name in ("size", "to read"):
        table.add_column(name, justify="right")
    for row in planned:
        left = size(row.left_bytes) if row.left_bytes else ""
        table.add_row(short(row.source), PLANS.get(row.action, row.action), size(row.bytes), left)
    console.print(table)
    for row in planned:
        if row.message and row.action != "already":
            console.print(f"  {row.message}", markup=False, style="yellow", soft_wrap=True)
    console.print()
    if not total.sources:
        console.print("nothing to read")
        return
    time = "" if total.seconds is None else f", about {duration(total.seconds)}"
    console.print(
        f"{total.sources:,} {'source' if total.sources == 1 else 'sources'} to read, {size(total.file_bytes)}: about "
        f"{size(total.raw_bytes)} of records, {size(total.topic_bytes)} in the topic{time}"
    )


def duration(seconds: float) -> str:
    """A time for people, to about a tenth."""
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:,.0f} min" if seconds < 6000 else f"{seconds / 3600:,.1f} h"


def show_stats(console: Console, stats: Mapping[str, Any]) -> None:
    """Totals, lengths and rejected records."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(justify="right")
    view = stats["view"]
    for name in ("sources", "records", "documents", "tokens", "words"):
        table.add_row(name, f"{stats[name]:,}")
    table.add_row("payload", size(stats["payload_bytes"]))
    rejected = sum(stats["rejected"].values())
    table.add_row("rejected", f"{rejected:,}")
    for reason, n in stats["rejected"].items():
        table.add_row(f"  {reason}", f"{n:,}")
    console.print(table)
    if view["min_df"] > 1 or view["max_df"] is not None:
        upper = "" if view["max_df"] is None else f" and < {view['max_df']:g} of the documents"
        console.print(f"words and tokens: document frequency >= {view['min_df']}{upper}", style="dim")
    length = stats["length"]
    if length["min"] is not None:
        lengths = Table(box=None, pad_edge=False, title="tokens a document", title_justify="left", title_style="dim")
        for name in length:
            lengths.add_column(name, justify="right")
        lengths.add_row(*(f"{value:,.1f}" if isinstance(value, float) else f"{value:,}" for value in length.values()))
        console.print()
        console.print(lengths)
    console.print()
    console.print(_as_of(stats), style="dim")


def show_servers(console: Console, rows: Sequence[ServerStatus], settings: Settings) -> None:
    """The embedded servers, and which servers of the user's are configured instead."""
    configured = {"kafka": settings.kafka.bootstrap_servers, "redis": settings.redis.url}
    table = Table(box=None, pad_edge=False)
    for name in ("server", "state", "address"):
        table.add_column(name)
    for name in ("pid", "up for", "memory", "data"):
        table.add_column(name, justify="right")
    for row in rows:
        figures = [
            "" if row.pid is None else str(row.pid),
            "" if row.uptime_s is None else f"{row.uptime_s / 60:,.1f} min",
            "" if row.memory_mb is None else f"{row.memory_mb:,.0f} MB",
            size(row.data_bytes),
        ]
        address = "" if row.port is None else f"127.0.0.1:{row.port}"
        if configured.get(row.name):
            table.add_row(row.name, "configured", configured[row.name])
        table.add_row(row.name, row.state, address, *figures)
    console.print(table)
    console.print(f"state directory {settings.home}", style="dim", markup=False)


def show_words(console: Console, words: Sequence[Mapping[str, Any]]) -> None:
    """Words with their frequencies."""
    table = Table(box=None, pad_edge=False)
    looked_up = any("idf" in row for row in words)
    table.add_column("word")
    for name in ("tf", "df", *(("idf", "rank") if looked_up else ())):
        table.add_column(name, justify="right")
    for row in words:
        figures = [f"{row['tf']:,}", f"{row['df']:,}"]
        if looked_up:
            figures.append("-" if row["idf"] is None else f"{row['idf']:.3f}")
            figures.append("-" if row["rank"] is None else f"{row['rank']:,}")
        table.add_row(row["word"], *figures)
    console.print(table)


def show_segments(console: Console, rows: Sequence[Mapping[str, Any]]) -> None:
    """The ledger: a line a source, sums a crawl."""
    table = Table(box=None, pad_edge=False)
    for name in ("source", "state"):
        table.add_column(name)
    for name in ("produced", "processed", "kept", "rejected", "tokens"):
        table.add_column(name, justify="right")
    crawls: dict[str, list[int]] = {}
    for row in rows:
        rejected = sum(row["rejected"].values())
        figures = [row["produced"], row["records"], row["documents"], rejected, row["tokens"]]
        table.add_row(short(row["source"]), row["state"], *(f"{n:,}" for n in figures))
        crawl = crawl_and_segment(row["source"])[0]
        crawls[crawl] = [a + b for a, b in zip(crawls.get(crawl, [0] * 5), figures, strict=True)]
    if len(rows) > 1:
        table.add_section()
        for crawl, figures in crawls.items():
            table.add_row(crawl or "other sources", "", *(f"{n:,}" for n in figures), style="bold")
    console.print(table)


def show_explanation(
    console: Console, name: str, url: str | None, profile: str, explanation: Explanation, examples: int
) -> None:
    """How a page was judged."""
    verdict = "kept" if explanation.reason is None else f"rejected: {explanation.reason}"
    console.print(url or name, style="bold", markup=False, soft_wrap=True)
    if url:
        console.print(name, style="dim", markup=False, soft_wrap=True)
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    table.add_row("profile", profile)
    table.add_row("verdict", verdict)
    method = {"header": "by the WARC header", "detect": "detected by CLD2"}.get(explanation.method or "", "")
    wanted = "" if explanation.wanted_language is None else f"; wanted: {explanation.wanted_language}"
    table.add_row("language", f"{explanation.language or 'unknown'} {method}".strip() + wanted)
    table.add_row("valid tokens", f"{explanation.valid_tokens:,} (at least {explanation.min_valid_tokens} are wanted)")
    table.add_row("dropped tokens", f"{explanation.dropped_tokens:,}")
    for cause, left in explanation.left_out.items():
        shown = Text(f"{left.count:,}  " + "  ".join(left.examples))
        shown.stylize("dim", len(f"{left.count:,}"))
        table.add_row(f"  {cause}", shown)
    table.add_row("length", f"{explanation.length:,} tokens, {len(explanation.bag):,} different words")
    ranked = sorted(explanation.bag.items(), key=lambda item: (-item[1], item[0]))[: 3 * examples]
    table.add_row("bag", Text("  ".join(f"{word} {n}" for word, n in ranked)))
    console.print(table)


def row_line(row: Mapping[str, Any]) -> str:
    """A documents row in one line, without its bag."""
    shown = {key: value for key, value in row.items() if key not in ("words", "counts") and value is not None}
    return "  ".join(f"{key}={value}" for key, value in shown.items())


def show_commits(console: Console, commits: Sequence[Mapping[str, Any]]) -> None:
    """Commits of the documents table, newest first."""
    table = Table(box=None, pad_edge=False)
    table.add_column("version", justify="right")
    table.add_column("time")
    table.add_column("operation")
    for commit in commits:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(commit["timestamp"] / 1000))
        table.add_row(str(commit.get("version", "")), when, str(commit.get("operation", "")))
    console.print(table)


def show_generations(console: Console, rows: Sequence[Mapping[str, Any]]) -> None:
    """Generations, oldest first."""
    if not rows:
        console.print("no generation yet: run something first")
        return
    table = Table(box=None, pad_edge=False)
    for name, justify in (("generation", "left"), ("state", "left"), ("profile", "left"), ("records", "right")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for row in rows:
        style = "bold" if row["state"] == "live" else ""
        table.add_row(row["generation"], row["state"], row["profile"], f"{row['records']:,}", style=style)
    console.print(table)


def show_seen(console: Console, rows: Sequence[Mapping[str, Any]], limit: int) -> None:
    """Languages, top-level domains or days."""
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    table.add_column("pages", justify="right")
    table.add_column("documents", justify="right")
    for row in rows[:limit]:
        table.add_row(row["name"], f"{row['pages']:,}", f"{row['documents']:,}")
    console.print(table)
    if len(rows) > limit:
        console.print(f"… and {len(rows) - limit:,} more", style="dim")


def _as_of(stats: Mapping[str, Any]) -> str:
    as_of = stats["as_of"]
    when = "never" if as_of["time"] is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(as_of["time"]))
    lag = "no stream is running" if as_of["lag"] is None else f"{as_of['lag']:,} offsets behind the topic"
    applying = ", applying a micro-batch" if as_of["applying"] else ""
    return f"profile {stats['profile']}, as of {when} ({lag}{applying})"


# Spark's names of the phases of a micro-batch, and ours, as a person reads them; all else goes into `other`.
PHASES = {"addBatch": "process", "table": "table", "redis": "redis", "latestOffset": "offsets", "compact": "compact"}


def show_batches(console: Console, batches: Sequence[Mapping[str, Any]]) -> None:
    """The last micro-batches: `process` is Spark's action, `table` and `redis` the commits that follow it."""
    if not batches:
        console.print("no micro-batch was observed yet: start a stream (`wetstream stream`)")
        return
    table = Table(box=None, pad_edge=False)
    for name in ("at", "rows", "rows/s", "payload", "words", "files", "seconds", *PHASES.values(), "lag"):
        table.add_column(name, justify="right")
    for batch in batches:
        at = time.strftime("%H:%M:%S", time.localtime(batch["at"]))
        seconds = phase_seconds(batch["seconds"])
        figures = [f"{batch['rows']:,}", f"{batch['rows_per_s']:,.0f}", size(batch.get("payload_bytes", 0))]
        figures += [f"{batch.get('words', 0):,}", f"{batch.get('files', 0):,}"]
        figures += [f"{batch['seconds'].get('triggerExecution', 0.0):.2f}"]
        figures += [f"{seconds.get(phase, 0.0):.2f}" for phase in PHASES] + [f"{batch['lag']:,}"]
        table.add_row(at, *figures)
    console.print(table)


def phase_seconds(seconds: Mapping[str, float]) -> dict[str, float]:
    """Spark's addBatch holds our commits; here it is what is left without them."""
    ours = sum(seconds.get(name, 0.0) for name in ("table", "redis", "compact"))
    return {**seconds, "addBatch": max(0.0, seconds.get("addBatch", 0.0) - ours)}
