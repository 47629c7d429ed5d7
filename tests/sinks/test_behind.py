"""What is done behind is done in order, one at a time, and its errors reach whoever puts the next or joins."""

from __future__ import annotations

import threading

import pytest

from sinks.behind import Behind


def test_one_at_a_time_and_in_order() -> None:
    behind, done, gate = Behind(), [], threading.Event()
    behind.put(lambda: (gate.wait(10), done.append(1))[1])
    assert behind.busy and not done
    threading.Timer(0.05, gate.set).start()
    told: list[float] = []
    behind.put(lambda: done.append(2), told.append)
    assert done[0] == 1, "the second was begun before the first was done"
    behind.join()
    assert done == [1, 2] and len(told) == 1 and not behind.busy
    behind.close()


def test_an_error_keeps_the_next_from_being_begun_and_is_told_once() -> None:
    behind, done = Behind(), []

    def fail() -> None:
        raise OSError("Redis is gone")

    behind.put(fail)
    while behind.busy:
        pass
    assert behind.failed
    with pytest.raises(OSError, match="Redis is gone"):
        behind.put(lambda: done.append(1))
    assert not behind.failed
    behind.join()
    assert not done
    behind.put(fail)
    behind.close()
