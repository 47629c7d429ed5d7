"""Removal of sources from documents and statistics, exactly and without counting the rest again.

The writer does it between two micro-batches, with Redis at the table's position, in three idempotent steps:
1. plan: exclusions in the table's log (`Documents.plan_removal`); from now on every start of a writer completes it
2. delete: files that hold the sources are replaced by their remaining rows, with the app transaction `removals` = n + 1
3. subtract: one commit of negative counts to Redis, from removals n to n + 1; if Redis is found at n later, it is
   rebuilt
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from conf.crash_points import crash_point
from sinks.documents.exclusions import Exclusion, SourceRange
from sinks.documents.files import DocumentFile, write_document_file
from sinks.documents.table import Documents
from sinks.statistics.derive import derive
from sinks.statistics.store import Statistics
from sinks.statistics.sums import Sums, add, negated


def remove_sources(
    documents: Documents,
    statistics: Statistics,
    ends: Mapping[str, tuple[int, int]],
    ranges: Sequence[SourceRange] = (),
    *,
    compression_level: int,
) -> int:
    """Remove sources, or records that are in the topic in excess.

    Args:
        documents: The documents table.
        statistics: Its statistics, which must be at its position.
        ends: By source, the topic partition and the offset behind its last record.
        ranges: Records in excess.
        compression_level: zstd level of the files that are written.

    Returns:
        The number of records that were removed.

    Raises:
        FencedError: Another writer has committed to the table.
        NotInStepError: The statistics are at another position.
    """
    documents.plan_removal(ends, ranges)
    crash_point("after-removal-plan")
    start = documents.position()
    gone = finish_removal(documents, compression_level=compression_level)
    crash_point("before-removal-counts")
    statistics.commit(negated(gone), start, documents.position())
    crash_point("before-removal-ranks")
    statistics.rerank()
    return gone.totals()["records"]


def finish_removal(documents: Documents, *, compression_level: int) -> Sums:
    """Delete the rows of the planned removal, if there is one, and return their sums."""
    planned = documents.planned_removal()
    gone = Sums()
    if not planned:
        return gone
    paths: list[str] = []
    left: list[DocumentFile] = []
    for file in documents.files_of([exclusion.source for exclusion in planned]):
        rows = documents.read_file(file)
        out = _covered(rows, planned)
        if not pc.any(out).as_py():
            continue
        paths.append(file["path"])
        gone = add(gone, derive(rows.filter(out).combine_chunks().to_batches()))
        rest = rows.filter(pc.invert(out)).combine_chunks()
        if rest.num_rows:
            left.append(write_document_file(documents.location, rest, compression_level=compression_level))
    crash_point("before-removal-delete")
    documents.complete_removal(paths, left)
    return gone


def _covered(rows: pa.Table, planned: Sequence[Exclusion]) -> pa.ChunkedArray:
    """Mask of the rows that an exclusion covers; for rows read from a file, only the source has to match."""
    source = rows["source"].cast(pa.string())
    partition, offset = rows["topic_partition"], rows["topic_offset"]
    covered = pc.not_equal(rows["records"], rows["records"])
    for exclusion in planned:
        inside = pc.and_(pc.greater_equal(offset, exclusion.begin), pc.less(offset, exclusion.end))
        inside = pc.and_(pc.equal(partition, exclusion.partition), inside)
        mine = pc.and_(pc.equal(source, exclusion.source), pc.fill_null(inside, not exclusion.begin))
        covered = pc.or_(covered, mine)
    return covered
