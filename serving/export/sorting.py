"""External merge sort: rows of CORPUS in the order of their sort keys, however many there are.

The order is by source (its UTF-8 bytes), record offset and inner offset, whatever the files of a table are and in which
order they hold their rows: the same documents give the same bytes, however they were streamed or compacted.

DuckDB's spilling ORDER BY gives the same rows, but does not bound memory with lists in the rows. Measured with 250
words a document: up to 320,000 documents both take the same time; at 640,000 this takes 655 MB and 15 s of CPU, DuckDB
1.5.6 takes 1.5 GB and 18 s with a limit of 1 GB; with a limit of 512 MB it runs out of memory at 320,000 already.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path

import pyarrow as pa

from serving.export.corpus import CORPUS

SortKey = tuple[bytes, int, int]

RUN_BYTES = 128 << 20
RUN_BATCH_ROWS = 1 << 10
FAN_IN = 64
SORT_KEY = ("source", "record_offset", "inner_offset")


def sort_rows(
    batches: Iterable[pa.RecordBatch],
    scratch: Path,
    *,
    run_bytes: int = RUN_BYTES,
    batch_rows: int = RUN_BATCH_ROWS,
    fan_in: int = FAN_IN,
) -> Iterator[pa.RecordBatch]:
    """Sort rows of CORPUS.

    Args:
        batches: The rows.
        scratch: Folder for sorted runs, which are removed again.
        run_bytes: Size of a run; fewer bytes are sorted in memory. Sorting one takes about three times its size.
        batch_rows: Rows of a batch; of each run that is being merged, one batch is in memory.
        fan_in: Runs that are merged at once.
    """
    runs: list[Path] = []
    paths = (scratch / f"run-{number}.arrow" for number in count())
    held: list[pa.RecordBatch] = []
    size = 0
    for batch in batches:
        held.append(batch)
        size += batch.nbytes
        if size >= run_bytes:
            runs.append(_write(next(paths), _sorted(held, batch_rows)))
            held, size = [], 0
    if not runs:
        yield from _sorted(held, batch_rows)
        return
    if held:
        runs.append(_write(next(paths), _sorted(held, batch_rows)))
    held = []
    while len(runs) > fan_in:
        runs = [*runs[fan_in:], _write(next(paths), _merged(runs[:fan_in], batch_rows))]
    yield from _merged(runs, batch_rows)


def _sorted(batches: list[pa.RecordBatch], rows: int) -> Iterator[pa.RecordBatch]:
    table = pa.Table.from_batches(batches, CORPUS)
    yield from table.sort_by([(name, "ascending") for name in SORT_KEY]).to_batches(max_chunksize=rows)


def _write(path: Path, batches: Iterable[pa.RecordBatch]) -> Path:
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, CORPUS, options=_COMPRESSED) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return path


_COMPRESSED = pa.ipc.IpcWriteOptions(compression="lz4")


def _merged(paths: list[Path], rows: int) -> Iterator[pa.RecordBatch]:
    """Merge sorted runs, and remove them."""
    runs = [run for run in map(_Run, paths) if run.batch is not None]
    while runs:
        # No run can still yield a row below the smallest of the last keys in memory, so the rows up to it are complete.
        bound = min(run.last for run in runs)
        parts = [part for run in runs if (part := run.take(bound)).num_rows]
        yield from _sorted(parts, rows) if len(parts) > 1 else parts
        runs = [run for run in runs if run.batch is not None]
    for path in paths:
        path.unlink()


class _Run:
    """A sorted run, of which one batch is in memory; None at its end."""

    def __init__(self, path: Path) -> None:
        self._file = pa.OSFile(str(path), "rb")
        self._batches = iter(pa.ipc.open_stream(self._file))
        self.batch: pa.RecordBatch | None = None
        self._next()

    @property
    def last(self) -> SortKey:
        """The last sort key of the batch."""
        assert self.batch is not None
        return _sort_key(self.batch, self.batch.num_rows - 1)

    def take(self, bound: SortKey) -> pa.RecordBatch:
        """Remove and return the rows of the batch up to this sort key."""
        batch = self.batch
        assert batch is not None
        end = bisect_right(range(batch.num_rows), bound, key=lambda row: _sort_key(batch, row))
        self.batch = batch.slice(end)
        if not self.batch.num_rows:
            self._next()
        return batch.slice(0, end)

    def _next(self) -> None:
        self.batch = next(self._batches, None)
        if self.batch is None:
            self._file.close()


def _sort_key(batch: pa.RecordBatch, row: int) -> SortKey:
    source, record_offset, inner_offset = (batch.column(name)[row].as_py() for name in SORT_KEY)
    return source.encode(), record_offset, inner_offset
