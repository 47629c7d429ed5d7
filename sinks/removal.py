"""Take sources out of documents and statistics, exactly, without counting the rest anew.

Three steps, each harmless to repeat, by the writer between two micro-batches with Redis at the table's position:
1. the plan, in the table's log (`Documents.plan_removal`): from here on every start of a writer finishes it
2. the delete: files that hold the sources are replaced by what is left of them, with the transaction `removals` = n+1
3. one commit of the negatives to Redis, from removals n to n+1; whoever finds Redis at n later counts it anew
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from conf.crash_points import crash_point
from sinks.documents.exclusions import Exclusion
from sinks.documents.files import DocumentFile, write_document_file
from sinks.documents.schema import DOCUMENTS
from sinks.documents.table import Documents
from sinks.statistics.derive import derive
from sinks.statistics.store import Statistics
from sinks.statistics.sums import Sums, add, negated

DICTIONARIES = ["words.list.element", "source"]


def remove_sources(
    documents: Documents,
    statistics: Statistics,
    ends: Mapping[str, tuple[int, int]],
    *,
    compression_level: int,
) -> int:
    """Take sources out; `ends`: (topic partition, offset behind their last record) by source. Returns the records.

    `statistics` must stand at the position of `documents`. Raises FencedError, NotInStepError.
    """
    documents.plan_removal(ends)
    crash_point("after-removal-plan")
    start = documents.position()
    gone = finish_removal(documents, compression_level=compression_level)
    crash_point("before-removal-counts")
    statistics.commit(negated(gone), start, documents.position())
    crash_point("before-removal-ranks")
    statistics.rerank()
    return gone.totals()["records"]


def finish_removal(documents: Documents, *, compression_level: int) -> Sums:
    """Delete the rows of the planned removal, if there is one; returns what they had counted for."""
    planned = documents.planned_removal()
    gone = Sums()
    if not planned:
        return gone
    paths: list[str] = []
    left: list[DocumentFile] = []
    for path in documents.files_of([exclusion.source for exclusion in planned]):
        rows = pq.read_table(documents.path / path, read_dictionary=DICTIONARIES).select(DOCUMENTS.names)
        out = _covered(rows, planned)
        if not pc.any(out).as_py():
            continue
        paths.append(path)
        gone = add(gone, derive(rows.filter(out).combine_chunks().to_batches()))
        rest = rows.filter(pc.invert(out)).combine_chunks()
        if rest.num_rows:
            left.append(write_document_file(documents.path, rest, compression_level=compression_level))
    crash_point("before-removal-delete")
    documents.complete_removal(paths, left)
    return gone


def _covered(rows: pa.Table, planned: Sequence[Exclusion]) -> pa.ChunkedArray:
    """Which rows an exclusion covers; rows that came from a file are covered by their source alone."""
    source = rows["source"].cast(pa.string())
    partition, offset = rows["topic_partition"], rows["topic_offset"]
    covered = pc.not_equal(rows["records"], rows["records"])
    for exclusion in planned:
        early = pc.and_(pc.equal(partition, exclusion.partition), pc.less(offset, exclusion.end))
        mine = pc.and_(pc.equal(source, exclusion.source), pc.fill_null(early, True))
        covered = pc.or_(covered, mine)
    return covered
