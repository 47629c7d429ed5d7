"""Micro-batches are committed in order, once each; errors are raised by the next submit or flush."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import streaming.statistics_committer
from sinks.position import Position
from sinks.statistics.sums import Sums
from streaming.statistics_committer import CommitMetrics, StatisticsCommitter
from streaming.tasks.partials import MicroBatch
from tests.examples import examples

Committed = list[tuple[dict[str, int], dict[str, int], dict[bytes, int]]]
WAIT_S = 20


def batch(*words: bytes) -> MicroBatch:
    """A micro-batch with each of these words once."""
    ones = pa.array([1] * len(words), pa.int64())
    return MicroBatch(word_tables=[pa.table({"word": pa.array(words, pa.binary()), "tf": ones, "df": ones})])


class Sink:
    """Records what is committed; `held` blocks it."""

    def __init__(self) -> None:
        self.committed: Committed = []
        self.begun = threading.Semaphore(0)
        self._open = threading.Event()
        self._open.set()

    def commit(self, sums: Sums, start: Position, finish: Position) -> None:
        self.begun.release()
        assert self._open.wait(WAIT_S)
        words = dict(zip(sums.words["word"].to_pylist(), sums.words["tf"].to_pylist(), strict=True))
        self.committed.append((dict(start), dict(finish), words))

    @contextmanager
    def held(self) -> Iterator[None]:
        self._open.clear()
        yield
        self._open.set()


@examples(100)
@given(words=st.lists(st.lists(st.sampled_from([b"a", b"b", b"c"]), unique=True), max_size=6), deferred=st.booleans())
def test_merged_micro_batches_are_committed_once_and_in_order(words: list[list[bytes]], deferred: bool) -> None:
    sink = Sink()
    with StatisticsCommitter(sink.commit, {"t": 0}, deferred=deferred) as committer:
        for number, some in enumerate(words):
            committer.submit(batch(*some), {"t": number + 1})
        committer.flush()
    ends = [0, *(finish["t"] for _, finish, _ in sink.committed)]
    assert [start["t"] for start, _, _ in sink.committed] == ends[:-1] and ends[-1] == len(words)
    total: dict[bytes, int] = {}
    for _, _, counted in sink.committed:
        for word, n in counted.items():
            total[word] = total.get(word, 0) + n
    assert total == {word: sum(word in some for some in words) for some in words for word in some}


def test_micro_batches_that_arrive_during_a_commit_are_merged_into_one() -> None:
    sink, told = Sink(), []
    with StatisticsCommitter(sink.commit, {}) as committer:
        with sink.held():
            committer.submit(batch(b"a"), {"t": 1}, told.append)
            assert sink.begun.acquire(timeout=WAIT_S)
            committer.submit(batch(b"a", b"b"), {"t": 2}, told.append)
            committer.submit(batch(b"a"), {"t": 3}, told.append)
        committer.flush()
    assert sink.committed == [({}, {"t": 1}, {b"a": 1}), ({"t": 1}, {"t": 3}, {b"a": 2, b"b": 1})]
    assert [(counted.words, counted.batches) for counted in told] == [(1, 1), (2, 2), (2, 2)]


def test_deferred_statistics_are_committed_on_flush() -> None:
    sink = Sink()
    with StatisticsCommitter(sink.commit, {}, deferred=True) as committer:
        committer.submit(batch(b"a"), {"t": 1})
        committer.submit(batch(b"a"), {"t": 2})
        assert not sink.committed
        committer.flush()
    assert sink.committed == [({}, {"t": 2}, {b"a": 2})]


def test_submit_waits_while_the_queue_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming.statistics_committer, "MAX_ROWS", 2)
    sink, passed = Sink(), threading.Event()
    with StatisticsCommitter(sink.commit, {}) as committer:

        def put_one_more() -> None:
            committer.submit(batch(b"d"), {"t": 4})
            passed.set()

        with sink.held():
            committer.submit(batch(b"a"), {"t": 1})
            assert sink.begun.acquire(timeout=WAIT_S)
            committer.submit(batch(b"b"), {"t": 2})
            committer.submit(batch(b"c"), {"t": 3})
            thread = threading.Thread(target=put_one_more)
            thread.start()
            assert not passed.wait(0.2)
        assert passed.wait(WAIT_S)
        thread.join()
        committer.flush()
    assert [finish["t"] for _, finish, _ in sink.committed][-1] == 4


def test_after_an_error_nothing_is_committed_and_every_call_raises_it() -> None:
    tried = threading.Semaphore(0)
    done: list[CommitMetrics] = []

    def fail(sums: Sums, start: Position, finish: Position) -> None:
        tried.release()
        raise OSError("Redis is gone")

    with StatisticsCommitter(fail, {}) as committer:
        committer.submit(batch(b"a"), {"t": 1}, done.append)
        with pytest.raises(OSError, match="Redis is gone"):
            committer.flush()
        assert committer.failed
        with pytest.raises(OSError, match="Redis is gone"):
            committer.submit(batch(b"b"), {"t": 2}, done.append)
        with pytest.raises(OSError, match="Redis is gone"):
            committer.flush()
    assert tried.acquire(blocking=False) and not tried.acquire(blocking=False)
    assert not done


def test_closing_waits_for_the_commit_in_progress_and_drops_the_rest() -> None:
    """What is dropped is added from the table by the next start; a commit that goes on would race with it."""
    sink = Sink()
    with StatisticsCommitter(sink.commit, {}) as committer, sink.held():
        committer.submit(batch(b"a"), {"t": 1})
        assert sink.begun.acquire(timeout=WAIT_S)
        committer.submit(batch(b"b"), {"t": 2})
        closing = threading.Thread(target=committer.close)
        closing.start()
        closing.join(0.2)
        assert closing.is_alive()
    closing.join(WAIT_S)
    assert not closing.is_alive()
    assert [finish for _, finish, _ in sink.committed] == [{"t": 1}]
    with pytest.raises(RuntimeError, match="after shutdown"):
        committer._executor.submit(print)


def test_deferred_statistics_are_committed_when_much_is_pending(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming.statistics_committer, "MAX_ROWS", 3)
    sink = Sink()
    with StatisticsCommitter(sink.commit, {}, deferred=True) as committer:
        committer.submit(batch(b"a"), {"t": 1})
        committer.submit(batch(b"a"), {"t": 2})
        assert not sink.begun.acquire(timeout=0.2)
        committer.submit(batch(b"a"), {"t": 3})
        assert sink.begun.acquire(timeout=WAIT_S)
        committer.flush()
        committer.submit(batch(b"a"), {"t": 4})
        assert not sink.begun.acquire(timeout=0.2)  # a flush is for what was submitted before it
    assert [finish["t"] for _, finish, _ in sink.committed] == [3]
    with pytest.raises(RuntimeError, match="after shutdown"):  # its thread has ended
        committer._executor.submit(print)


def test_what_is_pending_when_a_commit_fails_is_never_committed() -> None:
    """The statistics are at an unknown position then; only the next start can tell it."""
    begun, go_on = threading.Semaphore(0), threading.Event()

    def fail(sums: Sums, start: Position, finish: Position) -> None:
        begun.release()
        assert go_on.wait(WAIT_S)
        raise OSError("Redis is gone")

    with StatisticsCommitter(fail, {}) as committer:
        committer.submit(batch(b"a"), {"t": 1})
        assert begun.acquire(timeout=WAIT_S)
        committer.submit(batch(b"b"), {"t": 2})
        go_on.set()
        for _ in range(2):
            with pytest.raises(OSError, match="Redis is gone"):
                committer.flush()
    assert not begun.acquire(blocking=False)
