"""Small files of the documents table joined into larger ones, by its writer, while streaming goes on.

Every micro-batch leaves a file a task. Files are joined within one topic partition and in the order of its offsets, so
that each file keeps a narrow range of offsets: a heal or a look at one record still opens few of them. Joining changes
no row: the commit says so (`dataChange` false), and carries no position.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from conf.crash_points import crash_point
from sinks.documents.files import write_document_file
from sinks.documents.schema import DOCUMENTS
from sinks.documents.table import Documents


@dataclass(frozen=True, slots=True)
class Compaction:
    """What a compaction did: files before and after, of those that it touched."""

    files_before: int
    files_after: int


@dataclass(frozen=True, slots=True)
class _File:
    path: str
    size: int
    partition: int
    offset: int


def compact(documents: Documents, *, target_bytes: int, compression_level: int) -> Compaction:
    """Join runs of files smaller than half of `target_bytes` into files of about that size; a commit for each.

    Must be called by the writer between two commits. A crash leaves the table as before or after one of the commits,
    and perhaps a file that nobody names. Raises FencedError like a commit.
    """
    before = after = 0
    for run in list(_runs(documents, target_bytes)):
        tables = [
            pq.read_table(documents.path / file.path, read_dictionary=["words.list.element", "source"]) for file in run
        ]
        rows = pa.concat_tables(tables).unify_dictionaries().select(DOCUMENTS.names).combine_chunks()
        joined = write_document_file(documents.path, rows, compression_level=compression_level)
        crash_point("during-compaction")
        documents.replace([file.path for file in run], [joined])
        before, after = before + len(run), after + 1
    return Compaction(before, after)


def _runs(documents: Documents, target_bytes: int) -> Iterator[list[_File]]:
    """Runs of at least two small files that lie next to each other in a topic partition."""
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
        # Files of sources that never were in a topic stand together, behind no partition.
        partition = -1 if file["min.topic_partition"] is None else int(file["min.topic_partition"])
        offset = -1 if file["min.topic_offset"] is None else int(file["min.topic_offset"])
        yield _File(file["path"], file["size_bytes"], partition, offset)
