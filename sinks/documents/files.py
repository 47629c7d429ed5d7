"""Parquet files of the documents table: written by a task, then committed by the driver or never referenced.

Each file name is used once. A task that runs twice writes two files, and only the one whose name reaches the driver is
committed; overwriting a committed file would make the table unreadable.
"""

from __future__ import annotations

import json
import os
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sinks.documents.schema import DOCUMENTS

# Columns with few distinct values or, like the words, many repeats; for the others a dictionary does not pay.
DICTIONARY_COLUMNS = [
    "source",
    "topic_partition",
    "records",
    "language",
    "language_method",
    "reason",
    "words.list.element",
    "counts.list.element",
]
DICTIONARY_PAGE_BYTES = 256 << 20
STATISTICS_COLUMNS = ("source", "topic_partition", "topic_offset")


@dataclass(frozen=True, slots=True)
class DocumentFile:
    """A written file: path relative to the table, size in bytes, number of rows, and Delta statistics as JSON."""

    path: str
    size: int
    rows: int
    stats: str

    def to_json(self) -> str:
        """Serialize, to send from a task to the driver."""
        return json.dumps([self.path, self.size, self.rows, self.stats])

    @classmethod
    def from_json(cls, text: str) -> DocumentFile:
        """Parse the result of `to_json`."""
        return cls(*json.loads(text))


def write_document_file(table: Path, rows: pa.Table, *, compression_level: int) -> DocumentFile:
    """Write documents rows to a new file.

    Args:
        table: Folder of the documents table.
        rows: Columns of DOCUMENTS; `words` and `source` may be dictionary-encoded.
        compression_level: zstd level.
    """
    name = f"documents-{uuid.uuid4().hex}.parquet"
    target = table / name
    with target.open("xb") as file:
        with pq.ParquetWriter(
            file,
            rows.schema,
            compression="zstd",
            compression_level=compression_level,
            use_dictionary=DICTIONARY_COLUMNS,
            dictionary_pagesize_limit=DICTIONARY_PAGE_BYTES,
            # Readers take the types from the Delta schema; Arrow's own schema would give them dictionary types.
            store_schema=False,
            write_statistics=[*STATISTICS_COLUMNS, "record_offset", "reason", "language", "tokens"],
        ) as writer:
            writer.write_table(rows, row_group_size=1 << 20)
        file.flush()
        # The file must be on disk before the Delta log refers to it, in case of a power failure.
        os.fsync(file.fileno())
    return DocumentFile(name, target.stat().st_size, rows.num_rows, json.dumps(_stats(rows)))


def _stats(rows: pa.Table) -> dict[str, Any]:
    stats: dict[str, Any] = {"numRecords": rows.num_rows, "minValues": {}, "maxValues": {}, "nullCount": {}}
    for name in STATISTICS_COLUMNS:
        column = rows[name]
        stats["nullCount"][name] = column.null_count
        if pa.types.is_dictionary(column.type):
            column = column.unique().cast(DOCUMENTS.field(name).type)
        bounds = pc.min_max(column).as_py()
        if bounds["min"] is not None:
            stats["minValues"][name], stats["maxValues"][name] = bounds["min"], bounds["max"]
    return stats
