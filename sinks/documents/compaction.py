"""Compaction: the writer joins small files of the documents table into larger ones between two micro-batches.

Every task of a micro-batch leaves a file. Files are joined within one topic partition, in the order of their offsets,
so each file keeps a narrow range of offsets and a heal or a lookup of one record still opens few files. Compaction
changes no row: its commits have `dataChange` false and carry no position.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from conf.crash_points import crash_point
from sinks.documents.files import write_document_file
from sinks.documents.table import Documents


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


def compact(documents: Documents, *, target_bytes: int, compression_level: int) -> Compaction:
    """Join runs of files smaller than half of `target_bytes` into files of about that size, with one commit each.

    Must be called by the writer between two commits. A crash leaves the table as it was before or after one of these
    commits, and perhaps a file that the log does not refer to.

    Raises:
        FencedError: Another writer has committed since this table was opened.
        DamagedFileError: A file is missing, or is not what was written.
    """
    before = after = 0
    for run in list(_runs(documents, target_bytes)):
        tables = [documents.read_file(file.entry) for file in run]
        rows = pa.concat_tables(tables).unify_dictionaries().combine_chunks()
        joined = write_document_file(documents.location, rows, compression_level=compression_level)
        crash_point("during-compaction")
        documents.replace([file.entry["path"] for file in run], [joined])
        before, after = before + len(run), after + 1
    return Compaction(before, after)


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
