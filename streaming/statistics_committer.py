"""Commits micro-batches to the statistics in a thread of its own, while Spark reads the next one.

The statistics may lag because the documents table is the source of truth: whatever a crash takes from this queue, the
next start adds from the table. Micro-batches that arrive while Redis is busy are merged into one commit, so that a word
in several of them is updated once. The queue is bounded by its rows of words; beyond that, Spark waits.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Self

from sinks.position import Position
from sinks.statistics.sums import Sums
from streaming.tasks.partials import MicroBatch, sum_batches

# Of about 40 bytes each, in the driver; a micro-batch of 100 MB text has about 300,000.
MAX_ROWS = 4_000_000
CommitSums = Callable[[Sums, Position, Position], None]


@dataclass(frozen=True, slots=True)
class CommitMetrics:
    """One commit to Redis: its distinct words, its seconds, and the number of micro-batches in it."""

    words: int
    seconds: float
    batches: int


@dataclass(frozen=True, slots=True)
class _Pending:
    batch: MicroBatch
    finish: Position
    on_commit: Callable[[CommitMetrics], None]


class StatisticsCommitter:
    """Commits submitted micro-batches in order. For one calling thread at a time.

    Args:
        commit: Called with sums and the positions at which they start and end.
        position: Where the first commit starts.
        deferred: Nobody reads these statistics yet: commit only when much is pending, and on `flush`.
    """

    def __init__(self, commit: CommitSums, position: Position, *, deferred: bool = False) -> None:
        self._commit = commit
        self._position = position
        self._min_rows = MAX_ROWS if deferred else 0
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="statistics-committer")
        self._changed = threading.Condition()  # guards everything below
        self._pending: list[_Pending] = []
        self._busy = self._flushing = False
        self._error: BaseException | None = None

    def submit(
        self, batch: MicroBatch, finish: Position, on_commit: Callable[[CommitMetrics], None] = lambda metrics: None
    ) -> None:
        """Queue a micro-batch that ends at `finish`, waiting while the queue is full.

        `on_commit` is called in the committing thread. Raises the error of an earlier commit, after which nothing is
        committed.
        """
        with self._changed:
            self._changed.wait_for(lambda: not self._busy or self._rows() < MAX_ROWS)
            self._raise_error()
            self._pending.append(_Pending(batch, finish, on_commit))
            self._start_if_due()

    def flush(self) -> None:
        """Wait until everything is committed. Raises the error that prevented it."""
        with self._changed:
            self._flushing = True
            self._start_if_due()
            self._changed.wait_for(lambda: not self._busy)
            self._flushing = False
            self._raise_error()

    @property
    def failed(self) -> bool:
        """Whether a commit has failed."""
        return self._error is not None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Wait for the commit in progress and drop the queue, which the next start adds from the table."""
        with self._changed:
            self._pending.clear()
        self._executor.shutdown(wait=True)

    def _rows(self) -> int:
        return sum(pending.batch.word_rows for pending in self._pending)

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _is_due(self) -> bool:
        return bool(self._pending) and (self._flushing or self._rows() >= self._min_rows)

    def _start_if_due(self) -> None:
        if not self._busy and self._error is None and self._is_due():
            self._busy = True
            self._executor.submit(self._commit_pending)

    def _commit_pending(self) -> None:
        """Commit what is pending, and what has arrived meanwhile, until nothing more is due."""
        try:
            while taken := self._take():
                began = time.monotonic()
                sums, finish = sum_batches([pending.batch for pending in taken]), taken[-1].finish
                self._commit(sums, self._position, finish)
                self._position = finish
                metrics = CommitMetrics(sums.words.num_rows, time.monotonic() - began, len(taken))
                for pending in taken:
                    pending.on_commit(metrics)
        except BaseException as error:  # raised by the next submit or flush
            with self._changed:
                self._error, self._busy = error, False
                self._changed.notify_all()

    def _take(self) -> list[_Pending]:
        with self._changed:
            taken: list[_Pending] = []
            if self._is_due():
                taken, self._pending = self._pending, taken
            else:
                self._busy = False  # under this lock: the next submit starts a new run
            self._changed.notify_all()
            return taken
