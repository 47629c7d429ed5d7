"""Statistics go to Redis while Spark reads on: neither core waits for the other's work.

They may be late because the documents table decides: whatever Redis has not seen yet, the next start adds from there.
Micro-batches that come in while Redis is at another one become one commit: a word that is in several of them is then
one update. What waits is bounded by its rows of words; beyond that, Spark waits.
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
from streaming.partials import MicroBatch, merge_batches

# Of about 40 bytes each, in the driver; a micro-batch of 100 MB text has about 300,000.
MAX_ROWS = 4_000_000
Commit = Callable[[Sums, Position, Position], None]


@dataclass(frozen=True, slots=True)
class CommitMetrics:
    """What is told of a micro-batch that Redis has now: of the commit that it was part of, the distinct words, the
    seconds, and how many micro-batches it holds.
    """

    words: int
    seconds: float
    batches: int


@dataclass(frozen=True, slots=True)
class _Pending:
    batch: MicroBatch
    finish: Position
    on_commit: Callable[[CommitMetrics], None]


class StatisticsCommitter:
    """Commits what is put, in order, in a thread of its own. For one caller's thread at a time.

    `commit` is called with sums and the positions that they start and end at; the first starts at `position`.
    `deferred`: nobody reads these statistics yet, so Redis is told only when there is much, or at the end.
    """

    def __init__(self, commit: Commit, position: Position, *, deferred: bool = False) -> None:
        self._commit = commit
        self._position = position
        self._enough_rows = MAX_ROWS if deferred else 0
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="statistics-committer")
        self._changed = threading.Condition()  # guards all below
        self._waiting: list[_Pending] = []
        self._busy = self._to_the_end = False
        self._error: BaseException | None = None

    def submit(
        self, batch: MicroBatch, finish: Position, on_commit: Callable[[CommitMetrics], None] = lambda counted: None
    ) -> None:
        """Have a micro-batch counted up to the position `finish`; `on_commit` is told in the other thread.

        Waits while too much is waiting. Raises the error of an earlier commit: nothing is counted after it.
        """
        with self._changed:
            self._changed.wait_for(lambda: not self._busy or self._rows() < MAX_ROWS)
            self._raise()
            self._waiting.append(_Pending(batch, finish, on_commit))
            self._begin()

    def flush(self) -> None:
        """Wait until everything is counted. Raises the error that stood in the way."""
        with self._changed:
            self._to_the_end = True
            self._begin()
            self._changed.wait_for(lambda: not self._busy)
            self._to_the_end = False
            self._raise()

    @property
    def failed(self) -> bool:
        """Whether a commit has failed."""
        return self._error is not None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Wait for the commit that is under way, whatever comes of it; what waits is left to the next start."""
        with self._changed:
            self._waiting.clear()
        self._executor.shutdown(wait=True)

    def _rows(self) -> int:
        return sum(waiting.batch.word_rows for waiting in self._waiting)

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _is_due(self) -> bool:
        return bool(self._waiting) and (self._to_the_end or self._rows() >= self._enough_rows)

    def _begin(self) -> None:
        if not self._busy and self._error is None and self._is_due():
            self._busy = True
            self._executor.submit(self._count)

    def _count(self) -> None:
        """Commit what waits, and what has come in meanwhile, until no more is due."""
        try:
            while taken := self._take():
                began = time.monotonic()
                sums, finish = merge_batches([waiting.batch for waiting in taken]).sums, taken[-1].finish
                self._commit(sums, self._position, finish)
                self._position = finish
                counted = CommitMetrics(sums.words.num_rows, time.monotonic() - began, len(taken))
                for waiting in taken:
                    waiting.on_commit(counted)
        except BaseException as error:  # whoever puts the next or joins is told
            with self._changed:
                self._error, self._busy = error, False
                self._changed.notify_all()

    def _take(self) -> list[_Pending]:
        with self._changed:
            taken: list[_Pending] = []
            if self._is_due():
                taken, self._waiting = self._waiting, taken
            else:
                self._busy = False  # under this lock: what is put from now on begins anew
            self._changed.notify_all()
            return taken
