"""Micro-batches of a backlog: small at first, then as large as fits into the target time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streaming.admission import FIRST_OFFSETS, FIXED_S, Admission
from tests.examples import examples


@examples(200)
@given(
    offsets_per_s=st.floats(10, 200_000),
    start_s=st.floats(0, 10),
    target_s=st.floats(1, 60),
    max_offsets=st.integers(1, 10**7),
)
def test_a_backlog_reaches_the_target_time_or_the_limit(
    offsets_per_s: float, start_s: float, target_s: float, max_offsets: int
) -> None:
    admission = Admission(target_s, max_offsets)
    assert admission.offsets == min(FIRST_OFFSETS, max_offsets)
    seconds = 0.0
    for number in range(12):
        taken = admission.offsets
        assert min(FIRST_OFFSETS, max_offsets) <= taken <= max_offsets
        seconds = FIXED_S + taken / offsets_per_s + (0 if number else start_s)
        admission.completed(taken, seconds)
    if FIRST_OFFSETS < admission.offsets < max_offsets:
        assert 0.5 * target_s <= seconds <= 1.5 * target_s


def test_a_trickle_changes_nothing_and_a_slow_machine_shrinks_it() -> None:
    admission = Admission(5, 100_000)
    admission.completed(FIRST_OFFSETS, 1)
    grown = admission.offsets
    for _ in range(20):
        admission.completed(30, 0.5)
    assert admission.offsets == grown > FIRST_OFFSETS
    admission.completed(grown // 2, 20)
    assert admission.offsets < grown // 4


def test_time_that_does_not_depend_on_the_records_never_shrinks_it_to_nothing() -> None:
    admission = Admission(5, 100_000)
    for _ in range(30):
        admission.completed(admission.offsets, 60)
    assert admission.offsets == FIRST_OFFSETS


def test_without_a_target_every_micro_batch_may_be_the_largest() -> None:
    admission = Admission(0, 70)
    assert admission.offsets == admission.completed(70, 100) == 70
