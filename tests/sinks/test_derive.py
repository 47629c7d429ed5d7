"""Sums of documents rows equal plain counts, however the rows are cut into batches; sums can be added and negated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conf import reasons
from sinks.documents.schema import DOCUMENTS
from sinks.statistics import derive as derive_module
from sinks.statistics.derive import derive
from sinks.statistics.sums import PageCounts, SourceCount, Sums, add, negated
from sinks.statistics.word_counts import count_words
from tests.examples import examples
from tests.sinks.batches import expected_words, row

DAYS = [None, datetime(2016, 12, 2, 18, 3, 4, tzinfo=UTC), datetime(2016, 12, 3, tzinfo=UTC)]


@st.composite
def pages(draw: st.DrawFn) -> dict[str, Any]:
    """A documents row: kept or rejected, a retraction of a stub, or a page that was taken down."""
    reason = draw(st.sampled_from([None, None, None, *reasons.ALL]))
    bag = draw(st.dictionaries(st.sampled_from("abcd"), st.integers(1, 5))) if reason is None else None
    made = row(draw(st.integers(0, 5)), bag, reason, source=draw(st.sampled_from("st")))
    if reason == reasons.TRUNCATED:
        made["records"] = draw(st.sampled_from([1, -1]))
    return made | {
        "date": draw(st.sampled_from(DAYS)),
        "host": draw(st.sampled_from([None, "a.org", "org", "10.0.0.1"])),
    }


rows_of_pages = st.lists(pages(), max_size=10)


def batches(rows: Sequence[dict[str, Any]], size: int = 99) -> list[pa.RecordBatch]:
    return [
        pa.RecordBatch.from_pylist([dict(one) for one in rows[first : first + size]], schema=DOCUMENTS)
        for first in range(0, len(rows), size)
    ]


def plain_sums(rows: Sequence[dict[str, Any]]) -> Sums:
    """The sums, a row at a time."""
    tf, df = expected_words(rows)
    words = sorted(tf, key=str.encode)
    sums = Sums(
        words=pa.table(
            {
                "word": pa.array([word.encode() for word in words], pa.binary()),
                "tf": pa.array([tf[word] for word in words], pa.int64()),
                "df": pa.array([df[word] for word in words], pa.int64()),
            }
        )
    )
    for one in rows:
        n, key = one["records"], (one["source"], one["reason"] or "")
        old = sums.sources.get(key, SourceCount(0, 0, 0))
        sums.sources[key] = SourceCount(old[0] + n, old[1] + n * one["tokens"], old[2] + n * one["payload_bytes"])
        is_kept = one["reason"] is None
        if is_kept:
            sums.lengths[one["tokens"]] += 1
        if is_kept or one["reason"] in (reasons.NOT_LANGUAGE, reasons.TOO_FEW_WORDS):
            host = one["host"]
            tld = "unknown" if host is None else "address" if host[0].isdigit() else host.rpartition(".")[2]
            day = one["date"].strftime("%Y-%m-%d") if one["date"] else "unknown"
            for counts, name in ((sums.languages, one["language"] or "unknown"), (sums.tlds, tld), (sums.days, day)):
                seen = counts.get(name, PageCounts(0, 0))
                counts[name] = PageCounts(seen.pages + 1, seen.documents + is_kept)
    return sums


@examples(60)
@given(rows=rows_of_pages, size=st.integers(1, 5), merge=st.integers(2, 3), threads=st.integers(1, 3))
def test_sums_of_any_batches_equal_a_plain_count(
    rows: list[dict[str, Any]], size: int, merge: int, threads: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(derive_module, "MERGE_TABLES", merge)
        patch.setattr(derive_module, "THREADS", threads)
        assert derive(batches(rows, size)) == plain_sums(rows)


@examples(40)
@given(left=rows_of_pages, right=rows_of_pages)
def test_what_is_added_and_taken_out_leaves_the_rest(left: list[dict[str, Any]], right: list[dict[str, Any]]) -> None:
    whole = add(plain_sums(left), plain_sums(right))
    assert whole == plain_sums([*left, *right])
    rest = add(whole, negated(plain_sums(right)))
    assert rest.words == plain_sums(left).words
    assert without_zeros(rest) == without_zeros(plain_sums(left))


def without_zeros(sums: Sums) -> list[dict[Any, Any]]:
    """All counts but the words, and but those that are 0."""
    pages = [{key: seen for key, seen in by.items() if any(seen)} for by in (sums.languages, sums.tlds, sums.days)]
    sources = {key: count for key, count in sums.sources.items() if any(count)}
    return [*pages, sources, {length: n for length, n in sums.lengths.items() if n}]


def test_totals_and_reasons_are_sums_over_the_sources() -> None:
    sums = Sums()
    assert set(sums.totals().values()) == {0}
    for source, reason, count in (
        ("s", "", SourceCount(2, 30, 100)),
        ("t", "", SourceCount(1, 5, 10)),
        ("s", "damaged", SourceCount(4, 0, 7)),
        ("t", "damaged", SourceCount(1, 0, 2)),
        ("s", "oversize", SourceCount(1, 0, 1)),
    ):
        sums.add_source(source, reason, count)
    assert sums.totals() == {"records": 9, "documents": 3, "tokens": 35, "payload_bytes": 120}
    assert sums.reasons() == Counter(damaged=5, oversize=1)


@pytest.mark.parametrize(
    ("kept", "rejected", "takes_out"), [(0, 0, False), (1, 0, False), (0, -1, True), (-1, 0, True), (-1, 1, True)]
)
def test_sums_take_out_if_records_or_documents_become_fewer(kept: int, rejected: int, takes_out: bool) -> None:
    sums = Sums()
    sums.add_source("s", "", SourceCount(kept, 0, 0))
    sums.add_source("s", "damaged", SourceCount(rejected, 0, 0))
    assert sums.takes_out is takes_out


@pytest.mark.parametrize("value_type", [pa.string(), pa.dictionary(pa.int32(), pa.string())])
def test_words_of_bags_are_counted_once_each(value_type: pa.DataType) -> None:
    """Of a dictionary, only the words that occur."""
    words = pa.array([["b", "a"], None, [], ["a"]], pa.list_(pa.string()))
    if pa.types.is_dictionary(value_type):
        values = pa.DictionaryArray.from_arrays(pa.array([2, 1, 1], pa.int32()), ["unused", "a", "b", "unused too"])
        words = pa.ListArray.from_arrays(pa.array([0, 2, 2, 2, 3], pa.int32()), values)
    counts = pa.array([[3, 1], None, [], [5]], pa.list_(pa.int32()))
    counted = count_words(pa.RecordBatch.from_arrays([words, counts], ["words", "counts"]))
    assert counted.schema == Sums().words.schema
    assert counted.sort_by("word").to_pylist() == [{"word": b"a", "tf": 6, "df": 2}, {"word": b"b", "tf": 3, "df": 1}]
