"""Progress of an export through the rows that it reads and writes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import pyarrow as pa

OnRows = Callable[[str, int, int], None]
"""Gets the phase in a few words, how many rows it is done with, and of how many."""


def ignore(phase: str, rows: int, total: int) -> None:
    """Report nothing."""


def tracked(batches: Iterable[pa.RecordBatch], phase: str, total: int, on_rows: OnRows) -> Iterator[pa.RecordBatch]:
    """Yield the same batches, and report each when its consumer asks for the next. At the end all rows are done."""
    done = 0
    on_rows(phase, 0, total)
    for batch in batches:
        yield batch
        done += batch.num_rows
        on_rows(phase, min(done, total), total)
    on_rows(phase, total, total)
