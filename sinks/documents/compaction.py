"""Compaction: small files of the documents table are joined into larger ones.

Every task of a micro-batch leaves a file. Files are joined within one topic partition, in the order of their offsets,
so each file keeps a narrow range of offsets and a heal or a lookup of one record still opens few files. Compaction
changes no row: its commits have `dataChange` false and carry no position.

Anyone may plan joins and write their files, which nothing refers to yet; only the writer of the table commits them. A
running stream has Spark's tasks write them (`streaming.tasks.compaction`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from conf.crash_points import crash_point
from sinks.documents.files import DocumentFile, write_document_file
from sinks.documents.table import Documents, read_whole
from sinks.storage.location import Location

DocumentFiles = Sequence[Mapping[str, Any]]  # entries of `Documents.files`


@dataclass(frozen=True, slots=True)
class Compaction:
    """Result of a compaction: the number of files it joined, and of files it wrote."""

    files_before: int
    files_after: int


@dataclass(frozen=True, slots=True)
class _File:
    entry: Mapping[str, Any]  # of `Documents.files`
    size: int
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Join:
    """A file that holds the rows of the files at `paths`, not committed yet."""

    paths: tuple[str, ...]
    file: DocumentFile


def compact(documents: Documents, *, target_bytes: int, compression_level: int) -> Compaction:
    """Join runs of files smaller than half of `target_bytes` into files of about that size, with one commit each.

    Must be called by the writer between two commits. A crash leaves the table as it was before or after one of these
    commits, and perhaps a file that the log does not refer to.

    Raises:
        FencedError: Another writer has committed since this table was opened.
        DamagedFileError: A file is missing, or is not what was written.
    """
    before = after = 0
    for run in plan_joins(documents, target_bytes):
        join = join_files(documents.location, run, compression_level=compression_level)
        done = commit_joins(documents, [join])
        before, after = before + done.files_before, after + done.files_after
    return Compaction(before, after)


def plan_joins(documents: Documents, target_bytes: int) -> list[DocumentFiles]:
    """The runs of files that are to be joined, each with the path, size_bytes and num_records of its files."""
    names = ("path", "size_bytes", "num_records")
    return [[{name: file.entry[name] for name in names} for file in run] for run in _runs(documents, target_bytes)]


def join_files(table: Location, files: DocumentFiles, *, compression_level: int) -> Join:
    """Write the rows of some files, in this order, to a new file.

    Raises:
        DamagedFileError: A file is missing, or is not what was written.
    """
    rows = pa.concat_tables([read_whole(table, file) for file in files]).unify_dictionaries().combine_chunks()
    joined = write_document_file(table, rows, compression_level=compression_level)
    return Join(tuple(file["path"] for file in files), joined)


def commit_joins(documents: Documents, joins: Sequence[Join]) -> Compaction:
    """Replace joined files by what they were joined into, in one commit; for the writer, between two other commits.

    A join is dropped if one of its files is no longer part of the table. Nothing refers to its new file, which a vacuum
    deletes.

    Raises:
        FencedError: Another writer has committed since this table was opened.
        DocumentsError: A new file is missing.
    """
    valid = [join for join in joins if documents.holds(join.paths)]
    paths = [path for join in valid for path in join.paths]
    if valid:
        crash_point("during-compaction")
        documents.replace(paths, [join.file for join in valid])
        crash_point("after-compaction-commit")
    return Compaction(len(paths), len(valid))


def _runs(documents: Documents, target_bytes: int) -> Iterator[list[_File]]:
    """Yield runs of at least two small files that are adjacent in a topic partition."""
    run: list[_File] = []
    size = 0
    for file in sorted(_files(documents), key=lambda file: (file.partition, file.offset)):
        small = file.size < target_bytes / 2
        if not small or size + file.size > target_bytes or (run and run[-1].partition != file.partition):
            if len(run) > 1:
                yield run
            run, size = [], 0
        if small:
            run.append(file)
            size += file.size
    if len(run) > 1:
        yield run


def _files(documents: Documents) -> Iterator[_File]:
    for file in documents.files():
        # Files of sources that were never in the topic form a run of their own.
        partition = -1 if file["min.topic_partition"] is None else int(file["min.topic_partition"])
        offset = -1 if file["min.topic_offset"] is None else int(file["min.topic_offset"])
        yield _File(file, file["size_bytes"], partition, offset)
