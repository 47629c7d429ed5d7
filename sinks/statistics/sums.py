"""The counts of a set of documents, which can be added and subtracted.

A micro-batch (whose tasks' partial sums are added up) and the documents table (from which Redis catches up or is
rebuilt) give the same type: the statistics are a function of the documents rows and of nothing else.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

MANY_ROWS = 500_000
THREADS = min(4, os.cpu_count() or 1)
KEPT = ""  # stands for no reason, where a reason is part of a key


class SourceCount(NamedTuple):
    """Records of one source and one reason, their tokens (of kept ones) and payload bytes."""

    records: int
    tokens: int
    payload_bytes: int


class PageCounts(NamedTuple):
    """Pages of one language, top-level domain or day, and how many of them were kept as documents."""

    pages: int
    documents: int


def empty_words() -> pa.Table:
    """A table without rows: word (binary), tf and df (int64)."""
    return pa.table({"word": pa.array([], pa.binary()), "tf": pa.array([], pa.int64()), "df": pa.array([], pa.int64())})


@dataclass
class Sums:
    """Counts of a set of documents.

    Attributes:
        words: One row for each word: word (binary), tf and df (int64); in bytewise order.
        lengths: Kept documents by length in tokens.
        sources: Counts by (source, reason); KEPT for kept documents.
        languages: Pages by language.
        tlds: Pages by top-level domain.
        days: Pages by day.
    """

    words: pa.Table = field(default_factory=empty_words)
    lengths: Counter[int] = field(default_factory=Counter)
    sources: dict[tuple[str, str], SourceCount] = field(default_factory=dict)
    languages: dict[str, PageCounts] = field(default_factory=dict)
    tlds: dict[str, PageCounts] = field(default_factory=dict)
    days: dict[str, PageCounts] = field(default_factory=dict)

    def add_source(self, source: str, reason: str, count: SourceCount) -> None:
        """Add to the counts of a source and reason."""
        old = self.sources.get((source, reason), SourceCount(0, 0, 0))
        self.sources[source, reason] = SourceCount(*(a + b for a, b in zip(old, count, strict=True)))

    def add_counts(self, other: Sums) -> None:
        """Add another set's counts, except for its words."""
        self.lengths.update(other.lengths)
        for (source, reason), count in other.sources.items():
            self.add_source(source, reason, count)
        for mine, theirs in (
            (self.languages, other.languages),
            (self.tlds, other.tlds),
            (self.days, other.days),
        ):
            for key, seen in theirs.items():
                add_page_counts(mine, key, seen.pages, seen.documents)

    def totals(self) -> dict[str, int]:
        """Total records, kept documents, tokens and payload bytes."""
        counts = self.sources.items()
        return {
            "records": sum(count.records for _, count in counts),
            "documents": sum(count.records for (_, reason), count in counts if reason == KEPT),
            "tokens": sum(count.tokens for _, count in counts),
            "payload_bytes": sum(count.payload_bytes for _, count in counts),
        }

    @property
    def takes_out(self) -> bool:
        """Whether more records, or kept documents, are taken out than added."""
        totals = self.totals()
        return totals["records"] < 0 or totals["documents"] < 0

    def reasons(self) -> Counter[str]:
        """Rejected records by reason."""
        total: Counter[str] = Counter()
        for (_, reason), count in self.sources.items():
            if reason != KEPT:
                total[reason] += count.records
        return total


def add_page_counts(into: dict[str, PageCounts], key: str, pages: int, documents: int) -> None:
    """Add to the counts of a language, top-level domain or day."""
    old = into.get(key, PageCounts(0, 0))
    into[key] = PageCounts(old.pages + pages, old.documents + documents)


def sum_words(tables: Iterable[pa.Table]) -> pa.Table:
    """Add up the words of several sets; the result is in bytewise order, without words whose counts are 0."""
    merged = pa.concat_tables([empty_words(), *tables])
    if merged.num_rows < MANY_ROWS:
        return _sum_words(merged)
    # Arrow groups and sorts on one core, so each thread takes a range of words.
    sample = merged["word"].take(pa.array(range(0, merged.num_rows, max(1, merged.num_rows // 1_000)))).combine_chunks()
    ordered = sample.take(pc.sort_indices(sample))
    bounds = [ordered[len(ordered) * part // THREADS] for part in range(1, THREADS)]
    with ThreadPoolExecutor(THREADS) as threads:
        parts = threads.map(lambda ends: _sum_words(_between(merged, *ends)), pairwise([None, *bounds, None]))
    return pa.concat_tables(parts).combine_chunks()


def _between(words: pa.Table, first: pa.Scalar | None, end: pa.Scalar | None) -> pa.Table:
    """The rows whose word is in [first, end)."""
    if end is not None:
        words = words.filter(pc.less(words["word"], end))
    return words if first is None else words.filter(pc.greater_equal(words["word"], first))


def _sum_words(merged: pa.Table) -> pa.Table:
    grouped = merged.group_by("word", use_threads=False).aggregate([("tf", "sum"), ("df", "sum")])
    named = pa.table({"word": grouped["word"], "tf": grouped["tf_sum"], "df": grouped["df_sum"]})
    named = named.filter(pc.or_(pc.not_equal(named["tf"], 0), pc.not_equal(named["df"], 0)))
    return named.sort_by("word").combine_chunks()


def negated(sums: Sums) -> Sums:
    """The sums with every count negated."""
    words = sums.words
    return Sums(
        words=pa.table({"word": words["word"], "tf": pc.negate(words["tf"]), "df": pc.negate(words["df"])}),
        lengths=Counter({length: -documents for length, documents in sums.lengths.items()}),
        sources={key: SourceCount(*(-n for n in count)) for key, count in sums.sources.items()},
        languages={key: PageCounts(*(-n for n in seen)) for key, seen in sums.languages.items()},
        tlds={key: PageCounts(*(-n for n in seen)) for key, seen in sums.tlds.items()},
        days={key: PageCounts(*(-n for n in seen)) for key, seen in sums.days.items()},
    )


def add(left: Sums, right: Sums) -> Sums:
    """The sums of both sets together."""
    total = Sums(words=sum_words([left.words, right.words]))
    for part in (left, right):
        total.add_counts(part)
    return total
