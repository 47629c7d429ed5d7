"""Commands of a long test, with everything that they say logged as they say it, and kept."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

from tests.harness import Command

log = logging.getLogger("tests.cluster")

LIMIT_S = 900  # for a single step, on a machine that others keep busy


class Started:
    """A command in the background."""

    def __init__(self, command: Command, *arguments: str | Path, **environment: str) -> None:
        self._name = f"wetstream {arguments[0]}"
        self._began = time.monotonic()
        log.info("$ %s", self._name)
        self.process = command.start(*arguments, **environment)
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            log.info("%s | %s", self._name, line.rstrip())

    @property
    def output(self) -> str:
        return "".join(self.lines)

    def wait(self, timeout_s: float) -> int:
        """Return its exit code; it is killed where it takes longer."""
        try:
            code = self.process.wait(timeout_s)
        finally:
            self.kill()
        self._reader.join(10)
        log.info("%s: exit code %d after %.1f s", self._name, code, time.monotonic() - self._began)
        return code

    def kill(self) -> None:
        """End the command, with all that it has started."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


class Observed:
    """Runs commands one after the other; `said` is what all of them have written."""

    def __init__(self, command: Command) -> None:
        self.command = command
        self._started: list[Started] = []
        self._answers: list[str] = []

    @property
    def said(self) -> str:
        return "".join([*(started.output for started in self._started), *self._answers])

    def start(self, *arguments: str | Path, **environment: str) -> Started:
        started = Started(self.command, *arguments, **environment)
        self._started.append(started)
        return started

    def __call__(self, *arguments: str | Path, code: int = 0, timeout_s: float = LIMIT_S, **environment: str) -> str:
        """Run a command to its end, which has this exit code; return what it has written."""
        started = self.start(*arguments, **environment)
        found = started.wait(timeout_s)
        assert found == code, f"exit code {found}\n{started.output}"
        assert "Traceback" not in started.output, started.output
        return started.output

    def json(self, *arguments: str | Path) -> Any:
        began = time.monotonic()
        answer = self.command.json(*arguments)
        self._answers.append(str(answer))
        log.info("wetstream %s took %.1f s", arguments[0], time.monotonic() - began)
        return answer

    def wait_for_more(self, running: Started, records: int, timeout_s: float = LIMIT_S) -> int:
        """Wait until the live statistics count more than so many records; return how many."""
        deadline = time.monotonic() + timeout_s
        while (found := self.command.counted()) <= records:
            assert running.process.poll() is None, f"it ended at {found} records:\n{running.output}"
            assert time.monotonic() < deadline, f"{found} records after {timeout_s} s:\n{running.output}"
            time.sleep(0.1)
        log.info("%d records are counted", found)
        return found
