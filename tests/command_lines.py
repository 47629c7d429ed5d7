"""The process list, as any user of the machine sees it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psutil


@contextmanager
def watched_processes() -> Iterator[set[str]]:
    """The command lines of all processes that commands start, without those of the commands, while it lasts."""
    seen: set[str] = set()
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(0.1):
            for command in psutil.Process().children():
                with contextlib.suppress(psutil.Error):
                    seen.update(" ".join(process.cmdline()) for process in command.children(recursive=True))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()
