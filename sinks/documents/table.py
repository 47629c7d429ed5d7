"""The documents table: a Delta table of Parquet files whose log also stores how far the topic is processed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sinks.documents.log import FILE_BOUNDS, DocumentsLog

SCAN_ROWS = 1 << 14


@dataclass(frozen=True, slots=True)
class Range:
    """Offsets [start, end) of a topic partition."""

    partition: int
    start: int
    end: int


class Documents(DocumentsLog):
    """The documents table of one generation: its log and its rows."""

    def scan(self, ranges: Sequence[Range] | None = None) -> Iterator[pa.RecordBatch]:
        """Yield documents rows; `words` is dictionary-encoded.

        Args:
            ranges: Only rows at these topic offsets. Only files that may hold such a row, by the log's statistics, are
                opened.
        """
        for path in self._files(ranges):
            file = pq.ParquetFile(self.path / path, read_dictionary=["words.list.element"])
            for batch in file.iter_batches(batch_size=SCAN_ROWS):
                chosen = batch if ranges is None else batch.filter(_in_ranges(batch, ranges))
                if chosen.num_rows:
                    yield chosen

    def files_of(self, sources: Sequence[str]) -> list[str]:
        """Paths of the files that may hold rows of these sources, by the log's statistics."""
        return [
            file["path"]
            for file in self.files()
            if file.get("min.source") is None or any(file["min.source"] <= s <= file["max.source"] for s in sources)
        ]

    def file_paths(self) -> list[str]:
        """Absolute paths of the table's Parquet files."""
        return sorted(str(self.path / path) for path in self._paths())

    def row_count(self) -> int:
        """Rows of the table, from the log."""
        return sum(file["num_records"] for file in self.files())

    def vacuum(self, retention_hours: float, *, dry_run: bool) -> list[str]:
        """Delete files that no version of the last hours refers to: compacted ones, and those of tasks that died.

        Args:
            retention_hours: Must exceed the duration of the longest micro-batch, whose files no version refers to yet.
            dry_run: Only list them.

        Returns:
            The paths of these files.
        """
        return self._table.vacuum(int(retention_hours), dry_run=dry_run, enforce_retention_duration=False, full=True)

    def _files(self, ranges: Sequence[Range] | None) -> list[str]:
        return [file["path"] for file in self.files() if ranges is None or any(_may_hold(file, r) for r in ranges)]


def _may_hold(file: Mapping[str, Any], wanted: Range) -> bool:
    low_partition, high_partition, low, high = (file[name] for name in FILE_BOUNDS)
    if None in (low_partition, high_partition, low, high):
        return True
    return bool(low_partition <= wanted.partition <= high_partition and low < wanted.end and high >= wanted.start)


def _in_ranges(batch: pa.RecordBatch, ranges: Sequence[Range]) -> pa.Array:
    partition, offset = batch.column("topic_partition"), batch.column("topic_offset")
    mask = pa.array([False] * batch.num_rows)
    for wanted in ranges:
        inside = pc.and_(pc.greater_equal(offset, wanted.start), pc.less(offset, wanted.end))
        mask = pc.or_(mask, pc.and_(pc.equal(partition, wanted.partition), inside))
    return pc.fill_null(mask, False)
