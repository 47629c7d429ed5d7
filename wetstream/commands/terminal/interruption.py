"""What Ctrl-C and SIGTERM do to a command that works for long: it ends in order, and says so by its exit code."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from wetstream import Pipeline
from wetstream.commands.terminal.output import err


@dataclass
class Interruption:
    """Which signal came, if one did."""

    signal: signal.Signals | None = None

    @property
    def exit_code(self) -> int:
        """The shell's code for a process that a signal has ended: 130 or 143; 0 when none came."""
        return 0 if self.signal is None else 128 + self.signal


@contextmanager
def interruptible(pipeline: Pipeline) -> Iterator[Interruption]:
    """While inside, SIGINT and SIGTERM ask the pipeline to end in order; a second one ends the process at once.

    A signal that comes before the pipeline is at work ends the command like any other.
    """
    interruption = Interruption()

    def handle(number: int, frame: FrameType | None) -> None:
        if interruption.signal is not None:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        interruption.signal = signal.Signals(number)
        if not pipeline.stop():
            if number == signal.SIGINT:
                raise KeyboardInterrupt
            raise SystemExit(interruption.exit_code)
        err.line("stopping after the current transaction and micro-batch (once more: at once)", "yellow")

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
