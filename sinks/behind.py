"""The commit to Redis of one micro-batch while the next is being read: neither core waits for the other's work.

It may be late because the documents table decides: whatever Redis has not seen yet, the next start adds from there.
It is never more than one micro-batch late, so that what is held in memory is bounded and readers see what there is.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

Work = Callable[[], None]


class Behind:
    """Does one thing at a time, in order, in a thread of its own. For one caller's thread at a time."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="behind")
        self._last: Future[None] | None = None

    def put(self, work: Work, done: Callable[[float], None] = lambda seconds: None) -> None:
        """Do `work`, as soon as what was put before is done; `done` is told how long it took.

        Waits for what was put before, and raises its error: then `work` is not begun.
        """
        self.join()

        def timed() -> None:
            began = time.monotonic()
            work()
            done(time.monotonic() - began)

        self._last = self._executor.submit(timed)

    def join(self) -> None:
        """Wait for what was put last. Raises its error, once."""
        last, self._last = self._last, None
        if last is not None:
            last.result()

    @property
    def busy(self) -> bool:
        """Whether what was put last is not done yet."""
        return self._last is not None and not self._last.done()

    @property
    def failed(self) -> bool:
        """Whether what was put last has ended in an error, which nobody was told yet."""
        last = self._last
        return last is not None and last.done() and last.exception() is not None

    def close(self) -> None:
        """Wait for what was put last, whatever comes of it."""
        self._executor.shutdown(wait=True)
