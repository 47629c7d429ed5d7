"""What a task hands to Spark: small rows that Spark adds up, whatever the size of the data.

One schema for all: `kind` says what is counted, `key` what it is counted for; `a`, `b`, `c` are added, of `text` the
greatest stays. A key is the same for every attempt of a task, so that a map stage that ran twice is counted once: all
its rows of one key go to one reducer, which reads one attempt only.

Words that go straight to the driver are packed, many in the key of one row: Spark then moves a few large values, and
not a row a word through the JVM.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sinks.documents.files import DocumentFile
from sinks.statistics.sums import SourceCount, Sums, add_page_counts, sum_words

SCHEMA = pa.schema(
    [
        ("kind", pa.string()),
        ("key", pa.binary()),
        ("a", pa.int64()),
        ("b", pa.int64()),
        ("c", pa.int64()),
        ("text", pa.string()),
    ]
)
SPARK_SCHEMA = "kind string, key binary, a long, b long, c long, text string"

WORD, WORDS, LENGTH, SOURCE, LANGUAGE, TLD, DAY, FILE, RANGE, UNREADABLE = [
    "word",
    "words",
    "length",
    "source",
    "language",
    "tld",
    "day",
    "file",
    "range",
    "unreadable",
]
WORDS_PER_BATCH = 1 << 16


class InconsistentPartialsError(Exception):
    """The rows of a micro-batch do not fit together; it is dropped and done again."""


@dataclass(frozen=True, slots=True)
class OffsetRange:
    """Messages of one topic partition in one task: first offset, last offset + 1, and how many rows they became.

    (An excluded message becomes none.)
    """

    partition: int
    first: int
    end: int
    rows: int


@dataclass
class MicroBatch:
    """What came out of all tasks of one micro-batch. `counts`: everything but the words, which `word_tables` hold."""

    counts: Sums = field(default_factory=Sums)
    word_tables: list[pa.Table] = field(default_factory=list)
    files: list[DocumentFile] = field(default_factory=list)
    ranges: list[OffsetRange] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)  # by source that was read from its file: why it was not

    @property
    def word_rows(self) -> int:
        """RowBuffer of `word_tables`: a word counts once for each table that it is in."""
        return sum(table.num_rows for table in self.word_tables)

    @cached_property
    def sums(self) -> Sums:
        """All that is counted. Adding up the words takes the longest by far; it is done when they are asked for."""
        return replace(self.counts, words=sum_words(self.word_tables))


def merge_batches(batches: Sequence[MicroBatch]) -> MicroBatch:
    """What came out of several, as if they were one."""
    whole = MicroBatch()
    for batch in batches:
        whole.counts.add_counts(batch.counts)
        whole.word_tables += batch.word_tables
        whole.files += batch.files
        whole.ranges += batch.ranges
        whole.unreadable |= batch.unreadable
    return whole


def unreadable_row(source: str, why: str) -> pa.RecordBatch:
    """The only row of a task whose file cannot be read."""
    row = dict(zip(SCHEMA.names, (UNREADABLE, source.encode(), 0, 0, 0, why), strict=True))
    return pa.RecordBatch.from_pylist([row], schema=SCHEMA)


def partial_rows(
    words: pa.Array,
    tf: NDArray[np.int64],
    df: NDArray[np.int64],
    counts: Sums,
    ranges: list[OffsetRange],
    file: DocumentFile | None,
    task: str,
    *,
    packed: bool,
) -> Iterator[pa.RecordBatch]:
    """The partial rows of a task: its words with tf and df, its other counts, its offsets, and the file it wrote."""
    for begin in range(0, len(words), WORDS_PER_BATCH):
        part = slice(begin, begin + WORDS_PER_BATCH)
        yield (_packed if packed else _row_a_word)(words[part].cast(pa.binary()), tf[part], df[part])
    rows: list[tuple[str, str, int, int, int, str | None]] = []
    rows += [(LENGTH, str(length), documents, 0, 0, None) for length, documents in counts.lengths.items()]
    rows += [(SOURCE, json.dumps(key), *count, None) for key, count in counts.sources.items()]
    for kind, seen_by in ((LANGUAGE, counts.languages), (TLD, counts.tlds), (DAY, counts.days)):
        rows += [(kind, key, seen.pages, seen.documents, 0, None) for key, seen in seen_by.items()]
    rows += [(RANGE, f"{r.partition}:{r.first}", r.first, r.end, r.rows, None) for r in ranges]
    if file is not None:
        rows.append((FILE, task, file.rows, 0, 0, file.to_json()))
    yield pa.RecordBatch.from_pylist(
        [dict(zip(SCHEMA.names, (row[0], row[1].encode(), *row[2:]), strict=True)) for row in rows], schema=SCHEMA
    )


def _row_a_word(words: pa.Array, tf: NDArray[np.int64], df: NDArray[np.int64]) -> pa.RecordBatch:
    size = len(words)
    columns = [pa.repeat(WORD, size), words, tf, df, np.zeros(size, np.int64), pa.nulls(size, pa.string())]
    return pa.RecordBatch.from_arrays([pa.array(column) for column in columns], schema=SCHEMA)


def _packed(words: pa.Array, tf: NDArray[np.int64], df: NDArray[np.int64]) -> pa.RecordBatch:
    """One row, whose key is these words as an Arrow stream."""
    table = pa.table({"word": words, "tf": tf, "df": df})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    row = (WORDS, sink.getvalue().to_pybytes(), 0, 0, 0, None)
    return pa.RecordBatch.from_pylist([dict(zip(SCHEMA.names, row, strict=True))], schema=SCHEMA)


def read_partials(summed: pa.Table) -> MicroBatch:
    """The added-up rows of all tasks. Raises InconsistentPartialsError if rows were lost or doubled on the way."""
    result = MicroBatch()
    is_word = pa.compute.equal(summed["kind"], WORD)
    words = summed.filter(is_word).select(["key", "a", "b"]).rename_columns(["word", "tf", "df"])
    result.word_tables.append(words)
    is_packed = pa.compute.equal(summed["kind"], WORDS)
    result.word_tables += [pa.ipc.open_stream(key.as_buffer()).read_all() for key in summed.filter(is_packed)["key"]]
    for row in summed.filter(pa.compute.invert(pa.compute.or_(is_word, is_packed))).to_pylist():
        kind, key, a, b, c = row["kind"], row["key"].decode(), row["a"], row["b"], row["c"]
        if kind == LENGTH:
            result.counts.lengths[int(key)] += a
        elif kind == SOURCE:
            source, reason = json.loads(key)
            result.counts.add_source(source, reason, SourceCount(a, b, c))
        elif kind in (LANGUAGE, TLD, DAY):
            into = {LANGUAGE: result.counts.languages, TLD: result.counts.tlds, DAY: result.counts.days}[kind]
            add_page_counts(into, key, a, b)
        elif kind == RANGE:
            result.ranges.append(OffsetRange(int(key.partition(":")[0]), a, b, c))
        elif kind == FILE:
            result.files.append(DocumentFile.from_json(row["text"]))
        elif kind == UNREADABLE:
            result.unreadable[key] = row["text"]
    _check(result)
    return result


def _check(result: MicroBatch) -> None:
    written = sum(file.rows for file in result.files)
    if result.ranges:
        rows = sum(part.rows for part in result.ranges)
        if rows != written:
            raise InconsistentPartialsError(f"{rows:,} messages were read, but {written:,} documents rows written")
    ordered = sorted(result.ranges, key=lambda part: (part.partition, part.first))
    for left, right in pairwise(ordered):
        if left.partition == right.partition and left.end > right.first:
            raise InconsistentPartialsError(f"two tasks read the same offsets: {left} and {right}")
