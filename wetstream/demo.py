"""The demonstration: one more segment of made-up pages goes all the way, and the numbers grow."""

from __future__ import annotations

from pathlib import Path

from producers.sample.record import crawl_path
from producers.sample.writer import write_sample

RECORDS = 2_000


def next_segment(folder: Path) -> Path:
    """Write the next sample file that is not there yet; returns its path."""
    number = 0
    while (folder / crawl_path(number)).exists():
        number += 1
    folder.mkdir(parents=True, exist_ok=True)
    return write_sample(folder, records=RECORDS, file=number).path
