"""Files that once failed, and a few hundred others with fixed seeds."""

from __future__ import annotations

import pytest

from tests.fuzz.corpus import seeds
from tests.producers.damage import fuzz_case


@pytest.mark.parametrize("seed", seeds())
def test_files_that_once_failed(seed: int) -> None:
    fuzz_case(seed)


def test_damaged_and_hostile_files() -> None:
    for seed in range(300):
        fuzz_case(seed)
