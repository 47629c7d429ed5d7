"""Progress of ingesting and streaming: bars in a terminal, a line now and then elsewhere."""

from __future__ import annotations

import threading
import time

from rich.progress import BarColumn, ProgressColumn, SpinnerColumn, Task, TaskID, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Column
from rich.text import Text

from conf.errors import counted
from conf.redaction import redact
from wetstream import (
    Event,
    FilesRead,
    Lag,
    MicroBatch,
    Note,
    Outcome,
    Reading,
    SourceProgress,
    SourcesFound,
    Status,
)
from wetstream.commands.terminal.output import Terminal
from wetstream.commands.terminal.sources import STATES
from wetstream.commands.terminal.text import printable, short, shorten, size

LINE_EVERY_S = 5.0


class ProgressDisplay:
    """Shows the events of a pipeline on a terminal; `show` may be called from any thread.

    The ingest bar counts bytes of the files, the stream bar records. Each bar is one line, whatever the width.
    """

    def __init__(self, console: Terminal, *, ingest: bool, stream: bool, follow: bool = False) -> None:
        self._console = console
        self._follow = follow
        self._stream_began: float | None = None
        self._began = time.monotonic()
        self._lock = threading.RLock()
        self._sizes: dict[str, int] = {}
        self._at: dict[str, int] = {}
        self._records: dict[str, int] = {}
        self._raw_bytes: dict[str, int] = {}
        self._finished = 0
        # One bar for each source that is being read, beside the bar for all: a source that hangs is seen.
        self._source_bars: dict[str, TaskID] = {}
        self._names: dict[str, str] = {}  # shortened, so that no two are the same
        self._streamed = self._batches = self._reading = 0
        self._lag: int | None = None
        self._last_line = 0.0
        self._bars: Bars | None = None
        self._narrow = console.width < 100
        if console.animated:
            self._bars = Bars(
                SpinnerColumn(finished_text=Text("✓", "green")),
                Description(table_column=Column(no_wrap=True, overflow="ellipsis")),
                BarColumn(bar_width=8 if self._narrow else 24),
                _Figures(table_column=Column(no_wrap=True, overflow="ellipsis")),
                TimeRemainingColumn(compact=True, elapsed_when_finished=True),
                console=console,
            )
            self._ingest_bar = self._bars.add_task("ingest", total=None, figures="") if ingest else None
            self._stream_bar = self._bars.add_task("stream", total=None, figures="starting Spark") if stream else None

    def __enter__(self) -> ProgressDisplay:
        if self._bars is not None:
            self._bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._bars is not None:
            # Bars that stopped half-way say nothing that the error does not say.
            self._bars.live.transient = error[0] is not None
            if self._stream_bar is not None and error[0] is None:
                done = max(self._streamed, 1)
                self._bars.update(self._stream_bar, total=done, completed=done, figures=self._in_all())
            self._bars.stop()
        elif self._batches and error[0] is None and self._console.shows_progress:
            self._console.line(f"streamed: {self._in_all()}")

    def show(self, event: Event) -> None:
        """Show one event."""
        if not self._console.shows_progress and not isinstance(event, Note):
            return
        with self._lock:
            match event:
                case SourcesFound():
                    self._sizes |= event.sizes
                    self._shorten_names()
                    self._show_ingest()
                case SourceProgress():
                    self._advance(event)
                case Outcome():
                    self._outcome(event)
                case MicroBatch():
                    self._micro_batch(event)
                case Reading():
                    self._reading = event.records
                    self._show_stream()
                case Lag():
                    self._lag = event.offsets
                    self._show_stream()
                case Note():
                    self._console.line(event.text, "yellow")
                case FilesRead():
                    self._files_read(event)
                case Status():
                    self._status(event.text)

    def _in_all(self) -> str:
        """What was streamed, and how fast over the whole time; the last micro-batch alone says little."""
        if not self._batches:
            return "nothing to do"
        seconds = max(time.monotonic() - (self._stream_began or self._began), 1e-9)
        return self._figures(self._streamed, self._streamed / seconds)

    def _figures(self, records: int, per_s: float, *after: str) -> str:
        """Figures of a stream, on a narrow terminal without the number of micro-batches."""
        figures = [counted(records, "record"), f"{per_s:,.0f} rec/s"]
        if not self._narrow:
            figures.append(counted(self._batches, "micro-batch", "micro-batches"))
        return "  ".join([*figures, *after])

    def _status(self, text: str) -> None:
        if text.startswith(("streaming", "replaying")) and self._stream_began is None:
            self._stream_began = time.monotonic()
        if self._bars is not None and self._stream_bar is not None and not self._batches:
            self._bars.update(self._stream_bar, figures=text)
        elif self._bars is None:
            self._console.line(text)

    def _advance(self, event: SourceProgress) -> None:
        self._at[event.source], self._sizes[event.source] = event.file_bytes, event.size
        self._records[event.source], self._raw_bytes[event.source] = event.records, event.raw_bytes
        if self._bars is not None:
            if event.source not in self._source_bars:
                if event.source not in self._names:
                    self._shorten_names()
                name = f"  {self._names[event.source]}"
                self._source_bars[event.source] = self._bars.add_task(name, total=event.size, figures="")
            figures = f"{counted(event.records, 'record')}  {size(event.raw_bytes)}"
            bar = self._source_bars[event.source]
            self._bars.update(bar, completed=event.file_bytes, total=event.size, figures=figures)
        self._show_ingest()

    def _outcome(self, outcome: Outcome) -> None:
        self._finished += 1
        self._at[outcome.source] = self._sizes.setdefault(outcome.source, 0)
        bar = self._source_bars.pop(outcome.source, None)
        if self._bars is not None and bar is not None:
            self._bars.remove_task(bar)
        self._show_ingest()
        if self._bars is None or self._follow:
            what = f"{short(outcome.source)}: {STATES.get(outcome.state, outcome.state)}"
            if outcome.records:
                rate = outcome.raw_bytes / max(outcome.seconds, 1e-9)
                what += f", {counted(outcome.records, 'record')}, {size(outcome.raw_bytes)} ({size(rate)}/s)"
            self._console.line(what)
            if self._follow and not outcome.finished:
                for line in filter(None, [outcome.message, *outcome.damage]):
                    self._console.line(f"  {line}", "yellow")

    def _micro_batch(self, batch: MicroBatch) -> None:
        self._streamed += batch.rows
        self._batches += batch.rows > 0
        self._reading, self._lag = 0, batch.lag
        figures = self._figures(self._streamed, batch.rows_per_s, f"lag {batch.lag:,}")
        if self._bars is not None and self._stream_bar is not None:
            total = self._streamed + batch.lag
            self._bars.update(self._stream_bar, total=max(total, 1), completed=self._streamed, figures=figures)
        elif batch.rows:
            self._line(f"streaming: {figures}")

    def _show_stream(self) -> None:
        """Show what the tasks have read since the last micro-batch, and what waits."""
        if not self._reading:  # before the first one, and between two
            if not self._batches and self._lag and self._bars is not None and self._stream_bar is not None:
                self._bars.update(self._stream_bar, figures=f"streaming  lag {self._lag:,}")
            return
        read = self._streamed + self._reading
        seconds = max(time.monotonic() - (self._stream_began or self._began), 1e-9)
        lag = [] if self._lag is None else [f"lag {self._lag:,}"]
        figures = self._figures(read, read / seconds, *lag)
        if self._bars is None:
            self._line(f"streaming: {figures}")
        elif self._stream_bar is not None:
            # The lag counts what is read, until it is committed.
            total = None if self._lag is None else max(self._streamed + self._lag, read, 1)
            self._bars.update(self._stream_bar, total=total, completed=read, figures=figures)

    def _files_read(self, event: FilesRead) -> None:
        """Show how far a replay is; it ends with the topic, whose records come after those of the files."""
        records = counted(event.records, "record")
        if self._bars is None:
            self._line(f"read {event.sources:,} of {counted(event.total_sources, 'file')}, {records}")
        elif self._stream_bar is not None and not self._batches:
            files = f"{event.sources:,}/{counted(event.total_sources, 'file')}"
            self._bars.update(
                self._stream_bar, total=event.total_sources, completed=event.sources, figures=f"{files}  {records}"
            )

    def _line(self, text: str) -> None:
        """Print a line, unless the last one has only just been printed."""
        if time.monotonic() - self._last_line > LINE_EVERY_S:
            self._last_line = time.monotonic()
            self._console.line(text)

    def _shorten_names(self) -> None:
        texts = {source: printable(source).removeprefix("file://") for source in self._sizes}
        shown = shorten(list(texts.values()), 14 if self._narrow else 28)
        self._names = {source: shown[text] for source, text in texts.items()}

    def _show_ingest(self) -> None:
        if self._bars is None or self._ingest_bar is None:
            return
        seconds = max(time.monotonic() - self._began, 1e-9)
        raw = sum(self._raw_bytes.values())
        files, records = counted(len(self._sizes), "file"), counted(sum(self._records.values()), "record")
        shown = [f"{self._finished:,}/{files}", records, size(raw), f"{size(raw / seconds)}/s"]
        if self._narrow:
            del shown[1]
        figures = "  ".join(shown)
        known = [size for size in self._sizes.values() if size]
        # Sizes of remote sources come with their first progress; until then each counts as an average one.
        total = sum(known) * len(self._sizes) / max(1, len(known))
        self._bars.update(self._ingest_bar, completed=sum(self._at.values()), total=max(total, 1), figures=figures)


class Description(ProgressColumn):
    """The name of a bar; rich's own TextColumn would read markup."""

    def render(self, task: Task) -> Text:
        """Return the name."""
        return Text(printable(redact(task.description)), style="bold")


class _Figures(ProgressColumn):
    """The figures of a bar."""

    def render(self, task: Task) -> Text:
        return Text(printable(redact(str(task.fields.get("figures", "")))), style="dim")
