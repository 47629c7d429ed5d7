"""What a pipeline reports while it works: typed events for one callback, which may be called from any thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from producers.report import Note, Outcome, SourceProgress


@dataclass(frozen=True, slots=True)
class Status:
    """What the pipeline does now, in a few words (`starting Kafka`, `streaming`)."""

    text: str


@dataclass(frozen=True, slots=True)
class SourcesFound:
    """The sources that will be ingested: the size in bytes by identity, 0 for a remote one, which is not known yet."""

    sizes: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """A micro-batch is committed: its rows, Spark's rate, and how many offsets of the topic are left behind it."""

    rows: int
    rows_per_s: float
    lag: int


@dataclass(frozen=True, slots=True)
class Lag:
    """So many offsets of the topic are not processed yet; reported whenever their number has changed."""

    offsets: int


@dataclass(frozen=True, slots=True)
class Reading:
    """Tasks have read so many records of the micro-batch under way; reported on a Spark of this machine only."""

    records: int


@dataclass(frozen=True, slots=True)
class FilesRead:
    """A replay has read `sources` of `total_sources` files, and so many records, of the files under way too."""

    sources: int
    total_sources: int
    records: int


@dataclass(frozen=True, slots=True)
class RowsDone:
    """How many rows of the documents table an export or an upgrade is done with, in its present phase.

    `phase`: in a few words, such as `counting words`.
    """

    phase: str
    rows: int
    total_rows: int


@dataclass(frozen=True, slots=True)
class TopicProgress:
    """How far the training of a topic model is.

    Attributes:
        phase: `train`, or `survey` while the finished model looks at all documents once more.
        passed: The pass that is under way, from 1.
        passes: Passes in all.
        documents: Documents of this pass so far.
        total_documents: Documents of a pass; those without a word of the model are passed over.
        bound_per_word: Lower bound of the log-likelihood of a token in this pass so far; None in a survey.
    """

    phase: str
    passed: int
    passes: int
    documents: int
    total_documents: int
    bound_per_word: float | None = None


Event = (
    Status
    | SourcesFound
    | SourceProgress
    | Note
    | Outcome
    | MicroBatch
    | Lag
    | Reading
    | FilesRead
    | RowsDone
    | TopicProgress
)
OnEvent = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Report nothing."""


T = TypeVar("T")


class EventStream(Iterator[Event], Generic[T]):
    """The events of one method of a pipeline while it works in a thread of its own; ends when the method does.

    Leaving the loop early does not end the method; `close` does, after the current transaction and micro-batch, and so
    does an exception that interrupts the wait, such as KeyboardInterrupt. Raises what the method raises.
    """

    def __init__(self, work: Callable[[OnEvent], T], stop: Callable[[], object]) -> None:
        self._work = work
        self._stop = stop
        self._queue: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._error: BaseException | None = None
        self._result: T | None = None
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="wetstream-events", daemon=True)
        self._thread.start()

    def __next__(self) -> Event:
        if self._ended:
            raise StopIteration
        try:
            event = self._next()
        except BaseException:
            self.close()
            raise
        if event is not None:
            return event
        self._ended = True
        self._thread.join()
        if self._error is not None:
            raise self._error
        raise StopIteration

    @property
    def result(self) -> T:
        """What the method returned; read the remaining events first. Raises what it raised."""
        for _ in self:
            pass
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[return-value]  # T may include None

    def close(self) -> None:
        """End the method in order and wait for it."""
        while self._thread.is_alive():
            # Before it has begun its work there is nothing to stop yet.
            self._stop()
            self._thread.join(0.2)

    def _next(self) -> Event | None:
        # In small steps: Python runs signal handlers only between two of them.
        while True:
            try:
                return self._queue.get(timeout=0.2)
            except queue.Empty:
                continue

    def _run(self) -> None:
        try:
            self._result = self._work(self._queue.put)
        except BaseException as error:
            self._error = error
        finally:
            self._queue.put(None)
