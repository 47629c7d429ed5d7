"""The documents table: a Delta table of Parquet files whose log also stores how far the topic is processed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from sinks.documents.errors import DocumentsError
from sinks.documents.files import read_document_batches, read_document_file
from sinks.documents.log import FILE_BOUNDS
from sinks.documents.opening import load_table
from sinks.documents.parquet_files import ParquetFiles
from sinks.documents.removals import RemovalsLog
from sinks.storage.location import Location

SCAN_ROWS = 1 << 14
CHECK_THREADS = 4
WORDS = "words.list.element"


@dataclass(frozen=True, slots=True)
class Range:
    """Offsets [start, end) of a topic partition."""

    partition: int
    start: int
    end: int


class Documents(RemovalsLog):
    """The documents table of one generation: its log and its rows."""

    def at(self, version: int) -> Self:
        """Return the table as it was at a version, for reading.

        Raises:
            DocumentsError: There is no such version, or its log was cleaned up.
        """
        if version > self.version:
            raise DocumentsError(
                f"the documents table {self.location} has no version {version}: its newest one is {self.version}"
            )
        try:
            return type(self)(load_table(self.location, version), self.location)
        except DeltaError as error:
            raise DocumentsError(
                f"version {version} of the documents table {self.location} cannot be read "
                f"({str(error).splitlines()[0]}): `wetstream documents history` shows how far back its log goes"
            ) from error

    def scan(self, ranges: Sequence[Range] | None = None) -> Iterator[pa.RecordBatch]:
        """Yield documents rows; `words` is dictionary-encoded.

        Args:
            ranges: Only rows at these topic offsets. Only files that may hold such a row, by the log's statistics, are
                opened.

        Raises:
            DamagedFileError: A file is missing, or is not what was written.
        """
        for file in self._files(ranges):
            for batch in self._batches(file):
                chosen = batch if ranges is None else batch.filter(_in_ranges(batch, ranges))
                if chosen.num_rows:
                    yield chosen

    def delta_table(self) -> DeltaTable:
        """Open the table at this version for readers outside; it is not affected by later commits."""
        return DeltaTable(self.location.uri, version=self.version, storage_options=self.location.storage_options)

    def check_files(self) -> None:
        """Read every file completely and verify its checksums.

        Raises:
            DamagedFileError: A file is missing, or is not what was written.
        """
        with ThreadPoolExecutor(CHECK_THREADS) as threads:
            for _ in threads.map(self._check_file, self.files()):
                pass

    @contextmanager
    def naming_damage(self) -> Iterator[None]:
        """Context in which another engine reads the files; if it fails because one is damaged, that file is named.

        Raises:
            DamagedFileError: Reading failed, and a file is missing, or is not what was written.
        """
        try:
            yield
        except Exception:
            self.check_files()
            raise

    def read_file(self, file: Mapping[str, Any]) -> pa.Table:
        """Read all rows of one of `files()`; `words` and `source` are dictionary-encoded.

        Raises:
            DamagedFileError: The file is missing, or is not what was written.
        """
        return read_whole(self.location, file)

    def files_of(self, sources: Sequence[str]) -> list[dict[str, Any]]:
        """The `files()` that may hold rows of these sources, by the log's statistics."""
        return [
            file
            for file in self.files()
            if file.get("min.source") is None or any(file["min.source"] <= s <= file["max.source"] for s in sources)
        ]

    def parquet_files(self) -> ParquetFiles:
        """The table's Parquet files, in the order of their names."""
        return ParquetFiles(tuple(self.location / path for path in sorted(self._paths())))

    def file_paths(self) -> list[str]:
        """Absolute paths or URLs of the table's Parquet files."""
        return self.parquet_files().uris

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
        with self.location.explaining():
            return self._table.vacuum(
                int(retention_hours), dry_run=dry_run, enforce_retention_duration=False, full=True
            )

    def _check_file(self, file: Mapping[str, Any]) -> None:
        for _ in self._batches(file):
            pass

    def _batches(self, file: Mapping[str, Any]) -> Iterator[pa.RecordBatch]:
        path, size, rows = self.location / file["path"], file["size_bytes"], file["num_records"]
        return read_document_batches(path, batch_size=SCAN_ROWS, dictionaries=[WORDS], size=size, rows=rows)

    def _files(self, ranges: Sequence[Range] | None) -> list[dict[str, Any]]:
        return [file for file in self.files() if ranges is None or any(_may_hold(file, r) for r in ranges)]


def read_whole(table: Location, file: Mapping[str, Any]) -> pa.Table:
    """Read all rows of one of the `files()` of a table; `words` and `source` are dictionary-encoded.

    Raises:
        DamagedFileError: The file is missing, or is not what was written.
    """
    path, size, rows = table / file["path"], file["size_bytes"], file["num_records"]
    return read_document_file(path, dictionaries=[WORDS, "source"], size=size, rows=rows)


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
