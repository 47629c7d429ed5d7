"""Progress through the rows of the documents table: a bar in a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time

from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TaskID, TimeRemainingColumn
from rich.progress import Progress as Bars

from conf.errors import counted
from wetstream import Event, Note, RowsDone, Status
from wetstream.commands.terminal.output import Terminal
from wetstream.commands.terminal.progress import Description

LINE_EVERY_S = 5.0


class RowsDisplay:
    """Shows the phases of an export or an upgrade; other events are printed as lines. For one thread."""

    def __init__(self, console: Terminal) -> None:
        self._console = console
        self._bars: Bars | None = None
        self._bar: TaskID | None = None
        self._phase = ""
        self._last_line = time.monotonic()
        if console.animated:
            self._bars = Bars(
                SpinnerColumn(),
                Description(),
                BarColumn(bar_width=12 if console.width < 100 else 24),
                MofNCompleteColumn(),
                TimeRemainingColumn(compact=True),
                console=console,
                transient=True,
            )

    def __enter__(self) -> RowsDisplay:
        if self._bars is not None:
            self._bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._bars is not None:
            self._bars.stop()

    def show(self, event: Event) -> None:
        """Show one event."""
        if isinstance(event, Note) or (isinstance(event, Status) and self._console.shows_progress):
            self._console.line(event.text, "dim" if isinstance(event, Status) else "yellow")
        elif not isinstance(event, RowsDone):
            return
        elif self._bars is not None:
            if self._bar is None or event.phase != self._phase:
                if self._bar is not None:
                    self._bars.remove_task(self._bar)
                self._bar, self._phase = self._bars.add_task(event.phase, total=event.total_rows), event.phase
            self._bars.update(self._bar, completed=event.rows, total=event.total_rows)
        elif self._console.shows_progress and time.monotonic() - self._last_line > LINE_EVERY_S:
            self._last_line = time.monotonic()
            self._console.line(f"{event.phase}: {event.rows:,} of {counted(event.total_rows, 'row')}")
