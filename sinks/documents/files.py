"""Parquet files of the documents table: written by a task, then committed by the driver or never referenced.

Each file name is used once. A task that runs twice writes two files, and only the one whose name reaches the driver is
committed; overwriting a committed file would make the table unreadable.

Pages carry checksums, which every reader here verifies: without them a flipped bit gives wrong counts without an error.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from conf.errors import counted
from sinks.documents.errors import DamagedFileError, DocumentsError
from sinks.documents.schema import DOCUMENTS
from sinks.storage.errors import UnavailableError
from sinks.storage.location import Location

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
READ_ROWS = 1 << 16
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


def write_document_file(table: Location, rows: pa.Table, *, compression_level: int) -> DocumentFile:
    """Write documents rows to a new file.

    Args:
        table: The documents table.
        rows: Columns of DOCUMENTS; `words` and `source` may be dictionary-encoded.
        compression_level: zstd level.
    """
    name = f"documents-{uuid.uuid4().hex}.parquet"
    with (table / name).create() as file:
        with pq.ParquetWriter(
            file,
            rows.schema,
            compression="zstd",
            compression_level=compression_level,
            use_dictionary=DICTIONARY_COLUMNS,
            dictionary_pagesize_limit=DICTIONARY_PAGE_BYTES,
            write_page_checksum=True,
            # Readers take the types from the Delta schema; Arrow's own schema would give them dictionary types.
            store_schema=False,
            write_statistics=[*STATISTICS_COLUMNS, "record_offset", "reason", "language", "tokens"],
        ) as writer:
            writer.write_table(rows, row_group_size=1 << 20)
        size = file.tell()
    return DocumentFile(name, size, rows.num_rows, json.dumps(_stats(rows)))


def read_document_batches(
    path: Location,
    *,
    batch_size: int,
    dictionaries: Sequence[str],
    size: int,
    rows: int,
    schema: pa.Schema = DOCUMENTS,
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a file, in the columns of DOCUMENTS.

    Args:
        path: The file.
        batch_size: Rows in a batch at most.
        dictionaries: Columns to return dictionary-encoded.
        size: Size of the file in bytes, by the log.
        rows: Number of its rows, by the log.
        schema: Its columns; others than DOCUMENTS in a table of an earlier version.

    Raises:
        DamagedFileError: The file is missing, or is not what was written.
    """
    left = rows
    with _naming(path), path.open() as opened:
        if opened.size() != size:
            raise DamagedFileError(path, f"has {counted(opened.size(), 'byte')}, not {size:,}")
        file = pq.ParquetFile(opened, read_dictionary=list(dictionaries), page_checksum_verification=True)
        _check_columns(path, file.schema_arrow, schema)
        for batch in file.iter_batches(batch_size=batch_size):
            _check_batch(path, batch)
            left -= batch.num_rows
            yield batch
    if left:
        raise DamagedFileError(path, f"has {counted(rows - left, 'row')}, not {rows:,}")


def read_document_file(
    path: Location, *, dictionaries: Sequence[str], size: int, rows: int, schema: pa.Schema = DOCUMENTS
) -> pa.Table:
    """Read a whole file, in the columns of DOCUMENTS, or of `schema`.

    Raises:
        DamagedFileError: The file is missing, or is not what was written.
    """
    batches = read_document_batches(
        path, batch_size=READ_ROWS, dictionaries=dictionaries, size=size, rows=rows, schema=schema
    )
    return pa.Table.from_batches(batches).unify_dictionaries()


def read_urls(path: Location) -> tuple[pa.Array, pa.Array]:
    """Read the URLs and hosts of a file, row by row.

    Raises:
        DamagedFileError: The file is missing, or is not what was written.
    """
    with _naming(path), path.open() as opened:
        table = pq.ParquetFile(opened, page_checksum_verification=True).read(columns=["url", "host"])
        return table["url"].combine_chunks(), table["host"].combine_chunks()


@contextmanager
def _naming(path: Location) -> Iterator[None]:
    """Turn what a missing or damaged file raises into DamagedFileError, but for a store that does not answer."""
    try:
        yield
    except FileNotFoundError:
        raise DamagedFileError(path, "is missing") from None
    except UnavailableError:
        raise
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error).partition("\n")[0]
        raise DamagedFileError(path, f"cannot be read ({reason})") from error


def _check_columns(path: Location, found: pa.Schema, schema: pa.Schema) -> None:
    columns = [(field.name, _value_type(field.type)) for field in found]
    if columns != [(field.name, field.type) for field in schema]:
        raise DamagedFileError(path, "has other columns than the documents table")


def _check_batch(path: Location, batch: pa.RecordBatch) -> None:
    """Check what the pages' checksums leave open, since their headers have none: lengths, and dictionaries' sizes."""
    batch.validate()
    for column in batch.columns:
        values = column.values if pa.types.is_list(column.type) else column
        if pa.types.is_dictionary(values.type):
            greatest = pc.max(values.indices).as_py()
            if greatest is not None and greatest >= len(values.dictionary):
                raise DamagedFileError(path, "has a damaged dictionary")


def _value_type(column: pa.DataType) -> pa.DataType:
    """The type without dictionary encoding."""
    if pa.types.is_list(column):
        return pa.list_(_value_type(column.value_type))
    return column.value_type if pa.types.is_dictionary(column) else column


def require_files(table: Location, files: Sequence[DocumentFile]) -> None:
    """Check that files are in the table's folder.

    Raises:
        DocumentsError: One is missing.
    """
    for name in table.missing([file.path for file in files]):
        raise DocumentsError(
            f"{table / name} was written by a task but is missing: executors and driver must see the same documents "
            "(documents.path on storage that all of them reach)"
        )


def check_writable(table: Location) -> None:
    """Check that files can be written to the table's folder.

    Raises:
        DocumentsError: They cannot.
    """
    try:
        table.check_writable()
    except UnavailableError:
        raise
    except OSError as error:
        raise DocumentsError(
            f"the documents table {table} cannot be written ({error.strerror}): correct documents.path, or the "
            "permissions of that folder"
        ) from error


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
