"""How many records the tasks of a Spark job have read so far, where driver and tasks are on one machine.

Spark reports a micro-batch when it is done. Until then each task writes its count into a file of its own below a folder
of the driver, and the driver adds them up: a number for people, which nothing depends on.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from pathlib import Path

WIDTH = 20


class ReadCount:
    """The count of one task. Without a folder, and where it cannot be written, nothing is counted."""

    def __init__(self, folder: Path | None) -> None:
        self._file = None if folder is None else folder / uuid.uuid4().hex
        self._records = 0

    def add(self, records: int) -> None:
        """Count records that the task has read."""
        if self._file is None:
            return
        self._records += records
        with contextlib.suppress(OSError):
            # Overwritten in place, always as long: a reader never finds a part of a number.
            descriptor = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.pwrite(descriptor, f"{self._records:>{WIDTH}}".encode(), 0)
            finally:
                os.close(descriptor)


class ReadCounts:
    """The counts of all tasks since the last `reset`, for the driver."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ended = 0  # records of tasks whose files are deleted
        with contextlib.suppress(OSError):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.reset()

    def records(self) -> int:
        """Records that running and finished tasks have read; a task that Spark repeats counts again."""
        total = self._ended
        with contextlib.suppress(OSError):
            for file in os.scandir(self.folder):
                with contextlib.suppress(OSError, ValueError):
                    total += int(Path(file.path).read_bytes() or b"0")
        return total

    def reset(self) -> None:
        """Forget what was counted, as what is counted now is reported otherwise."""
        self._ended = 0
        with contextlib.suppress(OSError):
            for file in os.scandir(self.folder):
                Path(file.path).unlink()

    def fold(self, before: float) -> None:
        """Delete the files of tasks that have ended, so that their number stays small, but keep what they counted.

        Args:
            before: Unix time; all tasks that still run were started later.
        """
        with contextlib.suppress(OSError, ValueError):
            for entry in os.scandir(self.folder):
                if entry.stat().st_mtime < before:
                    self._ended += int(Path(entry.path).read_bytes() or b"0")
                    Path(entry.path).unlink()

    def close(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)
