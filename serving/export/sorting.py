"""Rows of CORPUS in the order of their places, however many there are: sorted runs on disk, merged.

The order is that of (source by its bytes, record offset, inner offset), whatever the files of a table are and whatever
stands in them: the same documents give the same bytes, however they were streamed or compacted.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path

import pyarrow as pa

from serving.export.corpus import CORPUS

Place = tuple[bytes, int, int]

# A run is sorted in memory, which takes about three times its size. Of each run that is merged a batch is in memory.
RUN_BYTES = 128 << 20
RUN_BATCH_ROWS = 1 << 10
FAN_IN = 64
PLACE = ("source", "record_offset", "inner_offset")


def sort_rows(
    batches: Iterable[pa.RecordBatch],
    scratch: Path,
    *,
    run_bytes: int = RUN_BYTES,
    batch_rows: int = RUN_BATCH_ROWS,
    fan_in: int = FAN_IN,
) -> Iterator[pa.RecordBatch]:
    """The rows by their places. What is more than `run_bytes` goes through files in `scratch`, which are removed."""
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
    yield from table.sort_by([(name, "ascending") for name in PLACE]).to_batches(max_chunksize=rows)


def _write(path: Path, batches: Iterable[pa.RecordBatch]) -> Path:
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, CORPUS, options=_COMPRESSED) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return path


_COMPRESSED = pa.ipc.IpcWriteOptions(compression="lz4")


def _merged(paths: list[Path], rows: int) -> Iterator[pa.RecordBatch]:
    """The rows of sorted runs, sorted; the runs are removed."""
    runs = [run for run in map(_Run, paths) if run.batch is not None]
    while runs:
        # Up to the least of the last places nothing can follow from any file: each run has more, or a later one here.
        bound = min(run.last for run in runs)
        parts = [part for run in runs if (part := run.take(bound)).num_rows]
        yield from _sorted(parts, rows) if len(parts) > 1 else parts
        runs = [run for run in runs if run.batch is not None]
    for path in paths:
        path.unlink()


class _Run:
    """A sorted run, a batch of it in memory; None at its end."""

    def __init__(self, path: Path) -> None:
        self._file = pa.OSFile(str(path), "rb")
        self._batches = iter(pa.ipc.open_stream(self._file))
        self.batch: pa.RecordBatch | None = None
        self._next()

    @property
    def last(self) -> Place:
        """The last place of the batch."""
        assert self.batch is not None
        return _place(self.batch, self.batch.num_rows - 1)

    def take(self, bound: Place) -> pa.RecordBatch:
        """Take out the rows of the batch up to this place."""
        batch = self.batch
        assert batch is not None
        end = bisect_right(range(batch.num_rows), bound, key=lambda row: _place(batch, row))
        self.batch = batch.slice(end)
        if not self.batch.num_rows:
            self._next()
        return batch.slice(0, end)

    def _next(self) -> None:
        self.batch = next(self._batches, None)
        if self.batch is None:
            self._file.close()


def _place(batch: pa.RecordBatch, row: int) -> Place:
    source, record_offset, inner_offset = (batch.column(name)[row].as_py() for name in PLACE)
    return source.encode(), record_offset, inner_offset
