"""Removal of sources and pages from documents and statistics, exactly and without counting the rest again.

The writer does it between two micro-batches, with Redis at the table's position, in three idempotent steps:
1. plan: exclusions or takedowns in the table's log (`Documents.plan_removal`); from now on every start of a writer
   completes it
2. delete: files that hold what is removed are replaced by their remaining rows, with the app transaction `removals` =
   n + 1; of a page that is taken down, a row without content remains
3. subtract: one commit of negative counts to Redis, from removals n to n + 1; if Redis is found at n later, it is
   rebuilt
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from conf.crash_points import crash_point
from sinks.documents.exclusions import Excluded, Exclusion, SourceRange
from sinks.documents.files import DocumentFile, read_urls, write_document_file
from sinks.documents.table import Documents
from sinks.documents.takedowns import Takedown, TakedownMatcher, plain, without_pages
from sinks.statistics.derive import derive
from sinks.statistics.store import Statistics
from sinks.statistics.sums import THREADS, Sums, add, negated


@dataclass
class Removed:
    """What a removal has changed.

    Attributes:
        change: The sums of the new rows minus those of the old ones.
        records: Records that are gone, and pages that were taken down.
    """

    change: Sums = field(default_factory=Sums)
    records: int = 0


def remove_records(
    documents: Documents,
    statistics: Statistics,
    ends: Mapping[str, tuple[int, int]],
    ranges: Sequence[SourceRange] = (),
    takedowns: Sequence[Takedown] = (),
    *,
    compression_level: int,
) -> int:
    """Remove sources, records that are in the topic in excess, or pages.

    Args:
        documents: The documents table.
        statistics: Its statistics, which must be at its position.
        ends: By source, the topic partition and the offset behind its last record.
        ranges: Records in excess.
        takedowns: Pages to take down, and to keep out from now on.
        compression_level: zstd level of the files that are written.

    Returns:
        The number of records that were removed, and of pages that were taken down.

    Raises:
        FencedError: Another writer has committed to the table.
        NotInStepError: The statistics are at another position.
    """
    documents.plan_removal(ends, ranges, takedowns)
    crash_point("after-removal-plan")
    start = documents.position()
    removed = finish_removal(documents, compression_level=compression_level)
    crash_point("before-removal-counts")
    statistics.commit(removed.change, start, documents.position())
    crash_point("before-removal-ranks")
    statistics.rerank()
    return removed.records


def finish_removal(documents: Documents, *, compression_level: int) -> Removed:
    """Complete the planned removal, if there is one: delete its rows, and clear those of pages."""
    planned = documents.planned_removal()
    removed = Removed()
    if not (planned.records or planned.pages):
        return removed
    paths: list[str] = []
    left: list[DocumentFile] = []
    sources: set[str] = set()
    pages = TakedownMatcher(planned.pages)
    for file in _files(documents, planned, pages):
        rows = documents.read_file(file).combine_chunks()
        out = _covered(rows, planned.records)
        rest = rows.filter(pc.invert(out)).combine_chunks()
        down = _matched(pages, rest)
        if not (pc.any(out).as_py() or down.true_count):
            continue
        paths.append(file["path"])
        removed.records += (pc.sum(rows["records"].filter(out)).as_py() or 0) + down.true_count
        _add(removed, negated(_sums(rows, out)))
        if down.true_count:
            before, rest = rest, without_pages(rest, down)
            _add(removed, negated(_sums(before, down)))
            _add(removed, _sums(rest, down))
            sources.update(before["source"].filter(down).cast(pa.string()).to_pylist())
        if rest.num_rows:
            left.append(write_document_file(documents.location, plain(rest), compression_level=compression_level))
    crash_point("before-removal-delete")
    documents.complete_removal(paths, left, sorted(sources))
    return removed


def _files(documents: Documents, planned: Excluded, pages: TakedownMatcher) -> list[dict[str, Any]]:
    """The files that may hold what a removal concerns. The URLs of all files are read, if it concerns pages."""
    of_sources = documents.files_of([exclusion.source for exclusion in planned.records])
    if not pages:
        return of_sources
    named = {file["path"] for file in of_sources}

    def concerned(file: Mapping[str, Any]) -> bool:
        return file["path"] in named or bool(pages.match(*read_urls(documents.location / file["path"])).true_count)

    with ThreadPoolExecutor(THREADS) as threads:
        files = documents.files()
        return [file for file, chosen in zip(files, threads.map(concerned, files), strict=True) if chosen]


def _matched(pages: TakedownMatcher, rows: pa.Table) -> pa.BooleanArray:
    if not pages or not rows.num_rows:
        return pa.repeat(pa.scalar(False), rows.num_rows)
    return pages.match(rows["url"].combine_chunks(), rows["host"].combine_chunks())


def _sums(rows: pa.Table, mask: pa.Array | pa.ChunkedArray) -> Sums:
    return derive(rows.filter(mask).combine_chunks().to_batches())


def _add(removed: Removed, sums: Sums) -> None:
    removed.change = add(removed.change, sums)


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
