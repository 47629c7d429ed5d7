"""The sums of a task come back whole from its partial rows; rows that contradict each other are refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinks.documents.files import DocumentFile
from sinks.statistics.sums import Sums
from streaming.tasks.partials import (
    SCHEMA,
    InconsistentPartialsError,
    OffsetRange,
    partial_rows,
    read_partials,
    sum_batches,
    unjoined_rows,
    unreadable_row,
)
from tests.examples import examples
from tests.sinks.batches import documents, sums_of


def rows_of(
    sums: Sums, *, packed: bool, ranges: Sequence[OffsetRange] = (), files: Sequence[DocumentFile | None] = (None,)
) -> list[pa.RecordBatch]:
    """The partial rows of tasks, the first of which has all sums, and each of which has one file."""
    found = []
    for number, file in enumerate(files):
        part = Sums() if number else sums
        words = part.words["word"].combine_chunks()
        tf, df = part.words["tf"].to_numpy(), part.words["df"].to_numpy()
        read = [] if number else list(ranges)
        found += partial_rows(words, tf, df, part, read, file, str(number), packed=packed)
    return found


def table(rows: Sequence[pa.RecordBatch]) -> pa.Table:
    return pa.Table.from_batches(rows, schema=SCHEMA)


@examples(40)
@given(tasks=st.lists(documents(6), min_size=1, max_size=3), packed=st.booleans(), words_per_batch=st.integers(1, 3))
def test_what_tasks_hand_over_adds_up_to_what_they_counted(
    tasks: list[list[dict[str, Any]]], packed: bool, words_per_batch: int
) -> None:
    counted = [sums_of(rows) for rows in tasks]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("streaming.tasks.partials.WORDS_PER_BATCH", words_per_batch)
        handed = [rows_of(sums, packed=packed) for sums in counted]
    batch = read_partials(table([row for rows in handed for row in rows]))
    right = sums_of([row for rows in tasks for row in rows])
    assert batch.sums == sum_batches([read_partials(table(rows)) for rows in handed]) == right
    assert batch.word_rows == sum(sums.words.num_rows for sums in counted)
    assert all(kind in ("word", "words") or text is None for rows in handed for kind, text in kinds_and_texts(rows))


def kinds_and_texts(rows: Sequence[pa.RecordBatch]) -> list[tuple[str, str | None]]:
    return [(row["kind"], row["text"]) for batch in rows for row in batch.to_pylist()]


def test_files_ranges_and_what_went_wrong_come_back() -> None:
    files = [DocumentFile("a.parquet", 10, 3, '{"numRecords":3}'), None, DocumentFile("b.parquet", 20, 4, "{}")]
    ranges = [OffsetRange(1, 5, 9, 4), OffsetRange(0, 7, 10, 3), OffsetRange(1, 9, 12, 0)]
    rows = rows_of(Sums(), packed=False, ranges=ranges, files=files)
    rows += [
        unreadable_row("s", "gone"),
        *unjoined_rows({"é": 2, "t": 1}),
        *unjoined_rows({}),
        *unjoined_rows({"t": 4}),
    ]
    batch = read_partials(table(rows))
    assert batch.files == [file for file in files if file is not None]
    assert batch.ranges == ranges
    assert batch.unreadable == {"s": "gone"}
    assert batch.unjoined == {"é": 2, "t": 5}


@pytest.mark.parametrize(
    ("ranges", "problem"),
    [
        ([OffsetRange(0, 0, 2, 3)], None),
        ([OffsetRange(0, 0, 2, 2), OffsetRange(0, 2, 3, 1)], None),
        ([OffsetRange(0, 1, 3, 2), OffsetRange(1, 0, 2, 1)], None),
        ([], None),  # files of a batch without the topic
        ([OffsetRange(0, 0, 2, 2)], "2 messages were read, but 3 documents rows written"),
        ([OffsetRange(0, 2, 9, 1), OffsetRange(0, 0, 3, 2)], "two tasks read the same offsets"),
        (
            [OffsetRange(1, 0, 3, 2), OffsetRange(0, 0, 3, 0), OffsetRange(1, 2, 9, 1)],
            "two tasks read the same offsets",
        ),
    ],
)
def test_rows_that_were_lost_or_doubled_are_found(ranges: list[OffsetRange], problem: str | None) -> None:
    rows = table(rows_of(Sums(), packed=False, ranges=ranges, files=[DocumentFile("a.parquet", 10, 3, "{}")]))
    if problem is None:
        assert read_partials(rows).ranges == ranges
    else:
        with pytest.raises(InconsistentPartialsError, match=problem):
            read_partials(rows)
