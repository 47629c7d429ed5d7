"""One pace per server, kept by all worker processes: one that asks to slow down is left alone by every one of them.

Servers such as CloudFront count the requests of an address, not of a process, and ban an address that goes on after it
was told to stop. After such an answer nobody asks that server until the wait is over; then requests begin one after
the other, at an interval that shrinks again while they succeed.
"""

from __future__ import annotations

import contextlib
import threading
import time
import zlib
from collections.abc import Iterator
from typing import Any, Protocol

# Servers share a slot by their hash; two that meet in one only wait for each other.
SLOTS = 256
FIRST_INTERVAL_S, LONGEST_INTERVAL_S, SHORTEST_INTERVAL_S = 0.05, 5.0, 0.01
SHRINK = 0.8
# A process that was killed while it held the lock must not stop the others.
LOCK_S = 1.0


class Slots(Protocol):
    """Two numbers a slot: when the next request may begin (time.monotonic, one clock for all processes), interval."""

    def __getitem__(self, index: int, /) -> float:
        """Read one."""

    def __setitem__(self, index: int, value: float, /) -> None:
        """Write one."""


class Pace:
    """The pace of every server, in memory that processes may share."""

    def __init__(self, slots: Slots, lock: Any) -> None:
        self._slots = slots
        self._lock = lock

    def wait(self, server: str, stop: threading.Event) -> None:
        """Wait until a request to this server may begin, or `stop` is set."""
        slot = _slot(server)
        while not stop.is_set():
            now = time.monotonic()
            with self._locked():
                begin, interval = self._slots[slot], self._slots[slot + 1]
                if begin <= now:
                    if interval:
                        self._slots[slot] = now + interval
                    return
            stop.wait(min(begin - now, 1.0))

    def slow_down(self, server: str, wait_s: float) -> None:
        """Let nobody ask this server for `wait_s` seconds, and everybody ask it less often afterwards."""
        slot = _slot(server)
        with self._locked():
            self._slots[slot] = max(self._slots[slot], time.monotonic() + wait_s)
            self._slots[slot + 1] = min(max(2 * self._slots[slot + 1], FIRST_INTERVAL_S), LONGEST_INTERVAL_S)

    def succeeded(self, server: str) -> None:
        """A request was answered: the next ones may come a little sooner."""
        slot = _slot(server) + 1
        if self._slots[slot]:
            with self._locked():
                shorter = self._slots[slot] * SHRINK
                self._slots[slot] = shorter if shorter > SHORTEST_INTERVAL_S else 0.0

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        held = self._lock.acquire(timeout=LOCK_S)
        try:
            yield
        finally:
            if held:
                self._lock.release()


def shared_pace_memory(context: Any) -> Any:
    """Return memory for `use_shared_pace`, to be handed to the processes of a multiprocessing context."""
    return context.Array("d", 2 * SLOTS)


def use_shared_pace(memory: Any) -> None:
    """From now on, keep this process to the pace in `memory`."""
    global _pace
    _pace = Pace(memory.get_obj(), memory.get_lock())


def current_pace() -> Pace:
    """Return the pace that this process keeps to: its own, or one that it shares."""
    return _pace


def _slot(server: str) -> int:
    return 2 * (zlib.crc32(server.encode("utf-8", "surrogatepass")) % SLOTS)


_pace = Pace([0.0] * (2 * SLOTS), threading.Lock())
