"""The statistics of a slice, counted by DuckDB from the documents table, and kept for the next time."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from serving.slices.once import NOT_REPEATED, find_repeated
from serving.slices.points import documents_as_of
from serving.slices.slice import NOW, Slice, SliceError
from serving.unreadable import unreadable_explained
from serving.verify.recount import COUNTS, TLD_OF, count_documents, no_words
from sinks.documents.errors import DamagedFileError
from sinks.documents.table import Documents

if TYPE_CHECKING:
    import duckdb

    from sinks.documents.parquet_files import ParquetFiles

KEPT = 32
FORMAT = 1  # raise it when the same slice is counted as something else
COUNTS_KEY = b"wetstream.counts"


@dataclass(frozen=True)
class SliceCounts:
    """What a slice holds.

    Attributes:
        documents: The documents table at the slice's version.
        committed: When that version was committed, Unix seconds.
        slice: The slice.
        counts: As Redis has them: by name of the statistic and field.
        words: Columns word, tf and df, in bytewise order of the words.
    """

    documents: Documents
    committed: float
    slice: Slice
    counts: dict[str, dict[str, int]]
    words: pa.Table


def count_slice(newest: Documents, wanted: Slice, cache: Path) -> SliceCounts:
    """Count a slice, or take it from the cache: a version of the table never changes.

    Args:
        newest: The documents table as it is now.
        wanted: The slice.
        cache: Folder of counts that were made before; made if need be.

    Raises:
        SliceError: There is no such slice.
        DocumentsError: The table's log does not reach back so far, or files of that version were deleted by a vacuum.
    """
    documents = documents_as_of(newest, wanted.as_of)
    # Asked of the newest version: that of an older one has the numbers of its versions wrong (delta-rs 1.6).
    committed = newest.history(newest.version - documents.version + 1)[-1]["timestamp"] / 1000
    kept = cache / f"{_name(documents, wanted)}.parquet"
    if (found := _read(kept)) is not None:
        return SliceCounts(documents, committed, wanted, *found)
    files = documents.parquet_files()
    if not files:
        return SliceCounts(documents, committed, wanted, {name: {} for name in COUNTS}, no_words())
    try:
        with unreadable_explained(), documents.naming_damage(), files.connect() as connection:
            counts, words = count_documents(connection, files, condition_of(connection, files, wanted))
    except DamagedFileError as error:
        if documents.version == newest.version or error.path.uri in set(newest.file_paths()):
            raise
        raise SliceError(
            f"version {documents.version} of the documents cannot be counted any more: `documents vacuum` has deleted "
            f"files of it ({error.path}); keep versions longer with --retain-hours"
        ) from error
    _write(kept, counts, words)
    return SliceCounts(documents, committed, wanted, counts, words)


def count_urls(a: SliceCounts, b: SliceCounts) -> tuple[int, int, int]:
    """Count the distinct URLs of the kept documents of two slices: of one, of the other, of both.

    Raises what `count_slice` raises.
    """
    files = a.documents.parquet_files()
    with unreadable_explained(), a.documents.naming_damage(), files.connect() as connection:
        connection.execute(TLD_OF)
        for name, counted in (("a", a), ("b", b)):
            files = counted.documents.parquet_files()
            if not files:
                connection.execute(f"create table {name} (url varchar)")
                continue
            condition = _condition(connection, files, counted.slice)
            connection.execute(
                f"create table {name} as select distinct url from read_parquet({files.sql_list}) "
                f"where reason is null and url is not null and {condition}"
            )
        row = connection.execute(
            "select (select count(*) from a), (select count(*) from b), (select count(*) from a join b using (url))"
        ).fetchone()
    assert row is not None
    return int(row[0]), int(row[1]), int(row[2])


def condition_of(connection: duckdb.DuckDBPyConnection, files: ParquetFiles, wanted: Slice) -> str:
    """Return the condition in DuckDB's SQL on the rows that a slice counts, after making what it refers to.

    Raises:
        SliceError: The slice names a source that the table does not hold.
    """
    connection.execute(TLD_OF)
    condition = _condition(connection, files, wanted)
    if wanted.once is None:
        return condition
    for statement in find_repeated(wanted.once, files.sql_list, condition):
        connection.execute(statement)
    return f"{condition} and {NOT_REPEATED}"


def _condition(connection: duckdb.DuckDBPyConnection, files: ParquetFiles, wanted: Slice) -> str:
    """The condition without `once`; the sources of the table are read only for a slice that names some."""
    known: list[str] = []
    if wanted.sources:
        rows = connection.execute("select distinct source from read_parquet(?)", [files.uris]).fetchall()
        known = [source for (source,) in rows]
    return wanted.condition(known)


def _name(documents: Documents, wanted: Slice) -> str:
    described = [FORMAT, documents.table_id, documents.version, str(replace(wanted, as_of=NOW))]
    return hashlib.sha256(json.dumps(described).encode()).hexdigest()[:32]


def _read(path: Path) -> tuple[dict[str, dict[str, int]], pa.Table] | None:
    try:
        table = pq.read_table(path)
        counts: dict[str, dict[str, int]] = json.loads(table.schema.metadata[COUNTS_KEY])
    except FileNotFoundError:
        return None
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError):
        return None  # cut or foreign: counted again
    path.touch()
    return counts, table.replace_schema_metadata(None)


def _write(path: Path, counts: dict[str, dict[str, int]], words: pa.Table) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    made = path.with_suffix(f".{os.getpid()}")
    metadata: dict[Any, Any] = {COUNTS_KEY: json.dumps(counts)}
    pq.write_table(words.replace_schema_metadata(metadata), made, compression="zstd")
    made.replace(path)
    others = sorted(path.parent.glob("*.parquet"), key=lambda each: each.stat().st_mtime, reverse=True)
    for old in others[KEPT:]:
        old.unlink(missing_ok=True)
