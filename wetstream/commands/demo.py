"""The demonstration: one more segment of made-up pages goes all the way, and the numbers grow."""

from __future__ import annotations

from pathlib import Path

from producers.sample.writer import write_sample

RECORDS = 2_000


def next_segment(folder: Path) -> Path:
    """Write the next sample file that is not there yet; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    made = sum(1 for _ in folder.rglob("*.wet.gz"))
    return write_sample(folder, records=RECORDS, file=made).path
