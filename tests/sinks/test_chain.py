"""Records of a source as a chain: a plan makes any rows the true ones, and verify names what is wrong."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.verify.chain import SourceEnd, chain_faults
from sinks.documents.chain import ChainRow, Span, chain_of, excess_ranges, plan_repair
from sinks.documents.parquet_files import ParquetFiles
from tests.examples import examples

PLACES = [(0, 0), (0, 50), (100, 0), (210, 0), (210, 7), (300, 0), (450, 0), (500, 0)]

TRUE = [Span(a, b) for a, b in pairwise(PLACES)]
END = PLACES[-1]


def rows_of(spans: list[Span], first_offset: int = 0) -> list[ChainRow]:
    return [ChainRow(span, 1, (0, first_offset + i), f"{span}") for i, span in enumerate(spans)]


def applied(rows: list[ChainRow], chain: list[Span]) -> list[ChainRow]:
    plan = plan_repair(rows, chain)
    return [row for row in rows if row.position not in plan.excess] + rows_of(plan.missing, 1000)


def net(rows: list[ChainRow]) -> dict[Span, int]:
    sums = {span: sum(row.records for row in rows if row.span == span) for span in {row.span for row in rows}}
    return {span: n for span, n in sums.items() if n}


def test_complete_chain_needs_no_repair() -> None:
    assert not plan_repair(rows_of(TRUE), TRUE)
    assert chain_of(rows_of(TRUE), END, cut=False) == TRUE


def test_a_record_delivered_twice_is_removed_once() -> None:
    rows = [*rows_of(TRUE), *rows_of(TRUE[2:4], 50)]
    assert chain_of(rows, END, cut=False) == TRUE
    plan = plan_repair(rows, TRUE)
    assert (plan.excess, plan.missing) == ([(0, 50), (0, 51)], [])


@pytest.mark.parametrize(("begin", "end"), [(0, 2), (2, 4), (5, 7), (0, 7)])
def test_missing_records_need_the_source(begin: int, end: int) -> None:
    rows = rows_of(TRUE[:begin] + TRUE[end:])
    assert chain_of(rows, END, cut=False) is None
    plan = plan_repair(rows, TRUE)
    assert (plan.excess, plan.missing) == ([], TRUE[begin:end])


def test_choosing_requires_the_source() -> None:
    assert chain_of(rows_of([*TRUE, Span(PLACES[0], PLACES[3])]), END, cut=False) is None


def test_a_record_inside_another_is_in_excess() -> None:
    rows = rows_of([*TRUE, Span((120, 0), (130, 0))])
    assert chain_of(rows, END, cut=False) == TRUE
    assert plan_repair(rows, TRUE).excess == [(0, len(TRUE))]


def test_conflicting_rows_of_one_place_are_read_again() -> None:
    rows = [*rows_of(TRUE), ChainRow(TRUE[3], 1, (0, 99), "forged")]
    plan = plan_repair(rows, TRUE)
    assert (plan.excess, plan.missing) == ([(0, 3), (0, 99)], [TRUE[3]])


def test_stub_of_a_truncated_record_and_its_retraction_are_kept() -> None:
    stub = [ChainRow(Span(PLACES[3], PLACES[3]), n, (0, 90 + i), "stub") for i, n in enumerate([1, -1, 1, -1])]
    assert not plan_repair([*rows_of(TRUE), *stub], TRUE)
    again = ChainRow(stub[0].span, -1, (0, 95), "stub")
    assert len(plan_repair([*rows_of(TRUE), *stub, again], TRUE).excess) == 5


def test_the_stub_at_the_end_of_a_cut_source_is_counted_once() -> None:
    stub = ChainRow(Span(END, END), 1, (0, 50), "stub")
    chain = chain_of([*rows_of(TRUE), stub], END, cut=True)
    assert chain == [*TRUE, stub.span]
    assert not plan_repair([*rows_of(TRUE), stub], chain)
    assert plan_repair(rows_of(TRUE), chain).missing == [Span(END, END)]
    again = ChainRow(Span(END, END), 1, (0, 60), "stub")
    assert plan_repair([*rows_of(TRUE), stub, again], chain).excess == [(0, 60)]
    assert chain_of(rows_of(TRUE), END, cut=True) is None


def test_without_a_chain_every_row_is_in_excess() -> None:
    assert chain_of(rows_of(TRUE), (0, 0), cut=False) == []
    assert len(plan_repair(rows_of(TRUE), []).excess) == len(TRUE)


any_place = st.tuples(st.integers(0, 600), st.integers(0, 9)) | st.sampled_from(PLACES)
spans = st.tuples(any_place, any_place).map(lambda pair: Span(min(pair), max(pair))) | st.sampled_from(TRUE)


@pytest.mark.fuzz
@examples(100)
@given(
    st.lists(st.tuples(spans, st.sampled_from([1, 1, 1, -1]), st.sampled_from("aaab")), max_size=20),
    st.booleans(),
)
def test_chain_is_restored_after_any_duplicates_losses_and_forgeries(
    found: list[tuple[Span, int, str]], cut: bool
) -> None:
    rows = [ChainRow(span, n, (0, i), content) for i, (span, n, content) in enumerate(found)]
    chain = [*TRUE, *([Span(END, END)] if cut else [])]
    done = applied(rows, chain)
    assert net(done) == dict.fromkeys(chain, 1)
    assert not plan_repair(done, chain)


@pytest.mark.fuzz
@examples(100)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 30), st.booleans()), unique_by=lambda t: t[:2]))
def test_exclusion_ranges_cover_exactly_the_excess(rows: list[tuple[int, int, bool]]) -> None:
    excess = [(p, o) for p, o, out in rows if out]
    kept = [(p, o) for p, o, out in rows if not out]
    ranges = excess_ranges(excess, kept)

    def inside(position: tuple[int, int]) -> bool:
        return sum(p == position[0] and begin <= position[1] < end for p, begin, end in ranges) == 1

    assert all(inside(position) for position in excess)
    assert not any(begin <= o < end and p == q for q, o in kept for p, begin, end in ranges)


def table_of(folder: Path, rows: list[ChainRow], source: str = "s") -> ParquetFiles:
    columns = [
        {
            "source": source,
            "record_offset": row.span.begin[0],
            "inner_offset": row.span.begin[1],
            "next_offset": row.span.end[0],
            "next_inner": row.span.end[1],
            "records": row.records,
        }
        for row in rows
    ]
    columns.append(dict.fromkeys(("record_offset", "inner_offset", "next_offset", "next_inner"), -1))
    columns[-1] |= {"source": "unknown", "records": 1}
    pq.write_table(pa.Table.from_pylist([*columns, columns[-1]]), folder / "it's.parquet")
    return ParquetFiles.at([folder / "it's.parquet"])


def whats(files: ParquetFiles, **ends: SourceEnd | None) -> list[str]:
    return [f"{fault.source}: {fault.what}" for fault in chain_faults(files, ends or None)]


def test_verify_finds_nothing_in_a_whole_chain(tmp_path: Path) -> None:
    stub = [ChainRow(Span(PLACES[3], PLACES[3]), n, (0, 90 + i), "stub") for i, n in enumerate([1, -1])]
    files = table_of(tmp_path, [*rows_of(TRUE), *stub])
    assert whats(files) == []
    assert whats(files, s=SourceEnd(END)) == []
    assert whats(files, s=SourceEnd((450, 0), growing=True)) == []
    assert whats(ParquetFiles(()), s=SourceEnd((0, 0))) == []


def test_verify_names_the_place_of_each_fault(tmp_path: Path) -> None:
    assert whats(table_of(tmp_path, [*rows_of(TRUE), *rows_of(TRUE[1:2])])) == [
        "s: the record at 0+50 is counted 2 times"
    ]
    assert whats(table_of(tmp_path, rows_of(TRUE[:3] + TRUE[4:]))) == ["s: records are missing from 210 to 210+7"]
    assert whats(table_of(tmp_path, rows_of(TRUE[1:]))) == ["s: records are missing from 0 to 0+50"]
    assert whats(table_of(tmp_path, rows_of([*TRUE, Span((120, 0), (130, 0))]))) == [
        "s: the record at 120 begins before the one before it ends, at 210",
        "s: records are missing from 130 to 210",
    ]
    files = table_of(tmp_path, rows_of(TRUE[:-1]))
    assert whats(files) == []
    assert whats(files, s=SourceEnd(END)) == ["s: records are missing from 450 to its end at 500"]
    assert whats(files, s=SourceEnd((300, 0))) == ["s: records from 300 to 450 are behind its end"]
    assert whats(files, s=None, t=SourceEnd((9, 0))) == ["t: records are missing from 0 to its end at 9"]
    assert whats(files, t=None) == ["s: no producer has ingested it"]
