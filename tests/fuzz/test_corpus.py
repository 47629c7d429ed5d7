"""Files that once failed, and a few hundred others with fixed seeds."""

from __future__ import annotations

from tests.fuzz.corpus import seeds
from tests.producers.damage import fuzz_case


def test_damaged_and_hostile_files() -> None:
    for seed in [*seeds(), *range(300)]:
        fuzz_case(seed)
