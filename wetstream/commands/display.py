"""Progress of ingestion and streaming: bars in a terminal, quiet lines elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, ProgressColumn, SpinnerColumn, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.text import Text

from producers.report import Outcome, SourceProgress
from producers.sources.source import Source
from producers.sources.urls import is_url
from streaming.query import BatchProgress
from wetstream.commands.show import STATES, short, size

LINE_EVERY_S = 5.0


class Display:
    """Shows what happens, on stderr. All methods may be called from any thread.

    Totals of the topic side are bytes of the files; of the streaming side records, since a record is a message.
    """

    def __init__(self, console: Console, sources: Sequence[Source], *, ingest: bool, stream: bool) -> None:
        self._console = console
        self._began = time.monotonic()
        self._lock = threading.RLock()
        self._sizes = {source.id: size_of(source) for source in sources}
        self._at: dict[str, int] = {}
        self._records: dict[str, int] = {}
        self._raw: dict[str, int] = {}
        self._finished = 0
        # A bar for each source that is being read, beside the one for all; so none stands still unseen.
        self._source_bars: dict[str, TaskID] = {}
        self._streamed = self._batches = 0
        self._lag: int | None = None
        self._last_line = 0.0
        self._bars: Bars | None = None
        if console.is_terminal:
            self._bars = Bars(
                SpinnerColumn(finished_text="[green]✓"),
                TextColumn("{task.description}", style="bold"),
                BarColumn(bar_width=24),
                _Figures(),
                TimeRemainingColumn(compact=True, elapsed_when_finished=True),
                console=console,
            )
            total = sum(self._sizes.values()) or 1
            self._ingest_bar = self._bars.add_task("ingest", total=total, figures="") if ingest else None
            self._stream_bar = self._bars.add_task("stream", total=None, figures="starting Spark") if stream else None

    def __enter__(self) -> Display:
        if self._bars is not None:
            self._bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._bars is not None:
            if self._stream_bar is not None and error[0] is None:
                self._bars.update(self._stream_bar, total=max(self._streamed, 1), completed=max(self._streamed, 1))
            self._bars.stop()

    def note(self, text: str) -> None:
        """What goes on now: a line of its own where there are no bars."""
        if self._bars is not None and self._stream_bar is not None and not self._batches:
            self._bars.update(self._stream_bar, figures=text)
        elif self._bars is None:
            self._console.print(text, markup=False, soft_wrap=True)

    def warn(self, text: str) -> None:
        """Something that a person should know now; above the bars where there are any."""
        self._console.print(text, style="yellow", markup=False, soft_wrap=True)

    def stopping(self) -> None:
        """The user wants to stop."""
        self._console.print(
            "stopping after the current transaction and micro-batch (once more: at once)",
            style="yellow",
            soft_wrap=True,
        )

    def advance(self, event: SourceProgress) -> None:
        """A transaction of a source is committed."""
        with self._lock:
            self._at[event.source], self._sizes[event.source] = event.file_bytes, event.size
            self._records[event.source], self._raw[event.source] = event.records, event.raw_bytes
            if self._bars is not None:
                if event.source not in self._source_bars:
                    name = f"  {short(event.source, 28)}"
                    self._source_bars[event.source] = self._bars.add_task(name, total=event.size, figures="")
                figures = f"{event.records:,} records  {size(event.raw_bytes)}"
                bar = self._source_bars[event.source]
                self._bars.update(bar, completed=event.file_bytes, total=event.size, figures=figures)
            self._show_ingest()

    def outcome(self, outcome: Outcome) -> None:
        """A source has ended."""
        with self._lock:
            self._finished += 1
            self._at[outcome.source] = self._sizes.setdefault(outcome.source, 0)
            bar = self._source_bars.pop(outcome.source, None)
            if self._bars is not None and bar is not None:
                self._bars.remove_task(bar)
            self._show_ingest()
            if self._bars is None:
                what = f"{short(outcome.source)}: {STATES.get(outcome.state, outcome.state)}"
                if outcome.records:
                    rate = outcome.raw_bytes / max(outcome.seconds, 1e-9)
                    what += f", {outcome.records:,} records, {size(outcome.raw_bytes)} ({size(rate)}/s)"
                self._console.print(what, markup=False, soft_wrap=True)

    def progress(self, progress: BatchProgress) -> None:
        """A micro-batch is through."""
        with self._lock:
            self._streamed += progress.rows
            self._batches += progress.rows > 0
            self._lag = progress.lag
            figures = (
                f"{self._streamed:,} records  {progress.rows_per_s:,.0f} rec/s  {self._batches:,} micro-batches  "
                f"lag {self._lag:,}"
            )
            if self._bars is not None and self._stream_bar is not None:
                total = self._streamed + self._lag
                self._bars.update(self._stream_bar, total=max(total, 1), completed=self._streamed, figures=figures)
            elif self._bars is None and time.monotonic() - self._last_line > LINE_EVERY_S and progress.rows:
                self._last_line = time.monotonic()
                self._console.print(f"streaming: {figures}", markup=False, soft_wrap=True)

    def _show_ingest(self) -> None:
        if self._bars is None or self._ingest_bar is None:
            return
        seconds = max(time.monotonic() - self._began, 1e-9)
        raw = sum(self._raw.values())
        figures = (
            f"{self._finished}/{len(self._sizes)} files  {sum(self._records.values()):,} records  "
            f"{size(raw)}  {size(raw / seconds)}/s"
        )
        known = [size for size in self._sizes.values() if size]
        # Sizes of remote sources come with their first progress; until then each counts as an average one.
        total = sum(known) * len(self._sizes) / max(1, len(known))
        self._bars.update(self._ingest_bar, completed=sum(self._at.values()), total=max(total, 1), figures=figures)


def size_of(source: Source) -> int:
    """Bytes of a local source's file; 0 for a remote one, whose size comes with its first progress."""
    return 0 if is_url(source.location) or not Path(source.location).is_file() else Path(source.location).stat().st_size


class _Figures(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(str(task.fields.get("figures", "")), style="cyan")
