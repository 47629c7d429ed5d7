"""Background threads that cannot die silently."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from conf.errors import ExplainedError

log = logging.getLogger("wetstream")

FIRST_RETRY_S = 1.0
LAST_RETRY_S = 30.0


class BackgroundThread:
    """A thread that repeats a step until it is stopped.

    A step that raises is reported and repeated, after 1, 2, 4, … up to 30 s; whoever depends on it can see `failure`
    and `silent_s`.

    Args:
        name: What the thread does, as in "<name> failed".
        step: One step; returns the seconds until the next one.
    """

    def __init__(self, name: str, step: Callable[[], float]) -> None:
        self.name = name
        self.failure = ""
        self._step = step
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"wetstream: {name}", daemon=True)
        self._last_step = time.monotonic()

    def start(self) -> None:
        """Start the thread; the first step comes at once."""
        self._last_step = time.monotonic()
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """End after the current step, and wait for that."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def wait(self, seconds: float) -> bool:
        """Sleep within a step. Returns whether the thread is being stopped."""
        return self._stop.wait(seconds)

    @property
    def is_stopping(self) -> bool:
        """Whether the thread has been told to end."""
        return self._stop.is_set()

    @property
    def silent_s(self) -> float:
        """Seconds since the last step ended, well or not; infinite once the thread has ended."""
        return time.monotonic() - self._last_step if self._thread.is_alive() else float("inf")

    def _run(self) -> None:
        wait_s, retry_s = 0.0, FIRST_RETRY_S
        while not self._stop.wait(wait_s):
            try:
                wait_s = self._step()
                self.failure, retry_s = "", FIRST_RETRY_S
            except Exception as error:
                self.failure = describe(error)
                wait_s, retry_s = retry_s, min(2 * retry_s, LAST_RETRY_S)
                log.error(
                    "%s failed (%s); trying again in %.0f s",
                    self.name,
                    self.failure,
                    wait_s,
                    exc_info=log.isEnabledFor(logging.DEBUG),
                )
            self._last_step = time.monotonic()


def describe(error: BaseException) -> str:
    """Return an error's first line, with its type where the text is not meant for a person."""
    text = (str(error).strip() or type(error).__name__).splitlines()[0]
    return text if isinstance(error, ExplainedError) else f"{type(error).__name__}: {text}"
