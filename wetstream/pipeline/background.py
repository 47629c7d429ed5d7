"""Spark work in a thread of its own, which ends in order when the caller is interrupted."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar


class Job(Protocol):
    """What can be asked to end: a Stream or a Replay."""

    def stop(self) -> None:
        """End after the current commit; may be called from any thread and from a signal handler."""


J = TypeVar("J", bound=Job)
T = TypeVar("T")


class BackgroundJob(Generic[J, T]):
    """Makes a job and runs it in a thread of its own.

    In the main thread Spark would put its own handler in the place of the caller's, and a signal would have to wait for
    Java. Requests to the job may come before it has been made: starting Spark takes seconds.
    """

    def __init__(self, name: str, make: Callable[[], J], run: Callable[[J], T]) -> None:
        self._make = make
        self._run = run
        self._job: J | None = None
        self._result: T | None = None
        self._error: BaseException | None = None
        self._stopped = False
        self._waiting: list[Callable[[J], None]] = []
        # Reentrant: a signal handler may call `stop` while this thread is in another of these methods.
        self._lock = threading.RLock()
        self._on_error: Callable[[], None] = lambda: None
        self._thread = threading.Thread(target=self._work, name=name)

    def start(self, on_error: Callable[[], None] = lambda: None) -> None:
        """Start; `on_error` is called from the thread as soon as the job has failed."""
        self._on_error = on_error
        self._thread.start()

    def ask(self, request: Callable[[J], None]) -> None:
        """Apply a request to the job, now or as soon as it has been made."""
        with self._lock:
            if self._job is None:
                self._waiting.append(request)
            else:
                request(self._job)

    def stop(self) -> None:
        """Ask the job to end after its current commit; one that has not been made yet never runs."""
        with self._lock:
            self._stopped = True
        self.ask(lambda job: job.stop())

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped

    def join(self) -> T | None:
        """Wait for the end and return what the job has returned, None if it never ran. Raises what the job raised.

        An exception that interrupts the wait (KeyboardInterrupt) stops the job first.
        """
        try:
            # In small steps: Python runs signal handlers only between two of them.
            while self._thread.is_alive():
                self._thread.join(0.2)
        except BaseException:
            self.stop()
            self._thread.join()
            raise
        if self._error is not None:
            raise self._error
        return self._result

    def _work(self) -> None:
        try:
            job = self._make()
            with self._lock:
                self._job = job
                for request in self._waiting:
                    request(job)
                stopped = self._stopped
            if not stopped:
                self._result = self._run(job)
        except BaseException as error:
            self._error = error
            self._on_error()
