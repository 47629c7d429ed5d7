"""Locks between processes: held through an open file, so they end with their holder, however it ends."""

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def exclusive(path: Path, waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold the lock file `path`; waits for as long as another process has it, calling `waiting` once if it must."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        if not _try(file):
            if waiting:
                waiting()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def take(path: Path, patience_s: float) -> IO[str] | None:
    """The locked file, or None if another process keeps it for longer than `patience_s`.

    A child that inherits the open file keeps the lock for its own life: that is how a server guards its data.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("a")
    deadline = time.monotonic() + patience_s
    while not _try(file):
        if time.monotonic() > deadline:
            file.close()
            return None
        time.sleep(0.05)
    return file


def _try(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
