"""The records of a source as a chain: each begins where the one before it ends.

`plan_repair` compares the rows of a source with its true chain, which the source's file gives (or `chain_of`, where the
rows alone leave no doubt), and says which rows are in excess and which records are missing. It keeps the earliest of
equal rows, so the plan is the same each time it is made from the same rows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple


class Span(NamedTuple):
    """Part of a source, from one place to another. A place is (offset of the gzip member, offset inside it)."""

    begin: tuple[int, int]
    end: tuple[int, int]


@dataclass(frozen=True, slots=True)
class ChainRow:
    """A documents row as a link of the chain.

    Attributes:
        span: Where the record begins, and where the next one does.
        records: 1, or -1 for a retraction.
        position: Partition and offset in the topic.
        content: Equal for rows that hold the same.
    """

    span: Span
    records: int
    position: tuple[int, int]
    content: str


@dataclass(slots=True)
class ChainRepair:
    """What makes the rows of a source its chain: topic positions of rows to remove, and records to ingest."""

    excess: list[tuple[int, int]] = field(default_factory=list)
    missing: list[Span] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.excess or self.missing)


def plan_repair(rows: Sequence[ChainRow], chain: Iterable[Span]) -> ChainRepair:
    """Compare the rows of a source with its true chain.

    Rows of a true record that differ in content are all in excess, and the record is missing: only the source can tell
    which is right. The stub of a cut record and its retraction cancel each other, and stay.
    """
    true = set(chain)
    by_span: dict[Span, list[ChainRow]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row.position):
        by_span[row.span].append(row)
    repair = ChainRepair()
    for span, found in by_span.items():
        expected = span in true
        counted = [row for row in found if row.records == 1]
        equal = len({row.content for row in counted}) == 1
        if sum(row.records for row in found) == expected and (not expected or equal):
            continue
        kept = counted[0] if expected and equal else None
        repair.excess += [row.position for row in found if row is not kept]
        if expected and kept is None:
            repair.missing.append(span)
    repair.missing = sorted([*repair.missing, *(true - by_span.keys())])
    repair.excess.sort()
    return repair


def chain_of(rows: Sequence[ChainRow], end: tuple[int, int], *, cut: bool) -> list[Span] | None:
    """The chain that the rows form by themselves up to `end`; None if they leave a gap or a choice.

    Args:
        rows: All rows of the source.
        end: Where its last record ends.
        cut: Whether a record that the end of the file cuts begins there; its stub is then part of the chain.
    """
    spans = {row.span for row in rows if row.records == 1}
    following: dict[tuple[int, int], list[Span]] = defaultdict(list)
    for span in spans:
        if span.begin != span.end:
            following[span.begin].append(span)
    chain: list[Span] = []
    at = (0, 0)
    while at < end:
        candidates = following.get(at, [])
        if len(candidates) != 1:
            return None
        chain.append(candidates[0])
        at = candidates[0].end
    if at != end or (cut and Span(end, end) not in spans):
        return None
    return [*chain, Span(end, end)] if cut else chain


def excess_ranges(excess: Sequence[tuple[int, int]], kept: Sequence[tuple[int, int]]) -> list[tuple[int, int, int]]:
    """Topic ranges (partition, first offset, end offset) that hold all `excess` positions of a source, none `kept`."""
    ranges: list[tuple[int, int, int]] = []
    barrier = set(kept)
    open_range = False
    for partition, offset in sorted({*excess, *kept}):
        if (partition, offset) in barrier:
            open_range = False
        elif open_range and ranges[-1][0] == partition:
            ranges[-1] = (partition, ranges[-1][1], offset + 1)
        else:
            ranges.append((partition, offset, offset + 1))
            open_range = True
    return ranges
