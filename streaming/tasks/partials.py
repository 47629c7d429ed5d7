"""Partial rows: the small sums that a task hands to Spark, which adds them up.

They have one schema: `kind` says what is counted and `key` what it is counted for; `a`, `b` and `c` are added up, for
`text` the maximum is kept. Keys are the same in every attempt of a task, so a map stage that ran twice is counted once:
all its rows of one key go to one reducer, which reads one attempt only.

Words that go to the driver as they are, are packed, many into the key of one row: Spark then moves a few large values
through the JVM instead of one row per word.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from conf.errors import counted
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

WORD, WORDS, LENGTH, SOURCE, LANGUAGE, TLD, DAY, FILE, RANGE, UNREADABLE, UNJOINED = [
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
    "unjoined",
]
WORDS_PER_BATCH = 1 << 16


class InconsistentPartialsError(Exception):
    """The partial rows of a micro-batch contradict each other; it is dropped and repeated."""


@dataclass(frozen=True, slots=True)
class OffsetRange:
    """Messages of one topic partition in one task: first offset, last offset + 1, and the number of their rows.

    (An excluded message becomes no row.)
    """

    partition: int
    first: int
    end: int
    rows: int


@dataclass
class MicroBatch:
    """The output of all tasks of one micro-batch. `counts` lacks the words, which are in `word_tables`."""

    counts: Sums = field(default_factory=Sums)
    word_tables: list[pa.Table] = field(default_factory=list)
    files: list[DocumentFile] = field(default_factory=list)
    ranges: list[OffsetRange] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)  # by source: why its file was not read
    unjoined: dict[str, int] = field(default_factory=dict)  # by source: records that do not follow the one before

    @property
    def word_rows(self) -> int:
        """Rows of `word_tables`, in which a word may occur several times."""
        return sum(table.num_rows for table in self.word_tables)

    @cached_property
    def sums(self) -> Sums:
        """All counts. Computed on demand, because adding up the words takes the longest by far."""
        return sum_batches([self])


def sum_batches(batches: Sequence[MicroBatch]) -> Sums:
    """All counts of several micro-batches together."""
    counts = Sums()
    for batch in batches:
        counts.add_counts(batch.counts)
    return replace(counts, words=sum_words([table for batch in batches for table in batch.word_tables]))


def unreadable_row(source: str, why: str) -> pa.RecordBatch:
    """The partial row that says why a source cannot be read."""
    row = dict(zip(SCHEMA.names, (UNREADABLE, source.encode(), 0, 0, 0, why), strict=True))
    return pa.RecordBatch.from_pylist([row], schema=SCHEMA)


def unjoined_rows(unjoined: Mapping[str, int]) -> Iterator[pa.RecordBatch]:
    """Yield the partial rows that count, by source, records that do not follow the one before them."""
    rows = [
        dict(zip(SCHEMA.names, (UNJOINED, source.encode(), n, 0, 0, None), strict=True))
        for source, n in unjoined.items()
    ]
    if rows:
        yield pa.RecordBatch.from_pylist(rows, schema=SCHEMA)


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
    """Yield the partial rows of a task.

    Args:
        words: Distinct words, binary or string.
        tf: Occurrences of each word.
        df: Documents with each word.
        counts: Everything else that is counted.
        ranges: The offsets that were read.
        file: The file that was written, if any.
        task: Identifies the task; the same in all its attempts.
        packed: Pack the words, for the driver to add up.
    """
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
    """One row, whose key is an Arrow stream of these words."""
    table = pa.table({"word": words, "tf": tf, "df": df})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    row = (WORDS, sink.getvalue().to_pybytes(), 0, 0, 0, None)
    return pa.RecordBatch.from_pylist([dict(zip(SCHEMA.names, row, strict=True))], schema=SCHEMA)


def read_partials(summed: pa.Table) -> MicroBatch:
    """Read the partial rows of all tasks, added up or not.

    Raises:
        InconsistentPartialsError: Rows were lost or doubled on the way.
    """
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
        elif kind == UNJOINED:
            result.unjoined[key] = result.unjoined.get(key, 0) + a
    _check(result)
    return result


def _check(result: MicroBatch) -> None:
    written = sum(file.rows for file in result.files)
    if result.ranges:
        rows = sum(part.rows for part in result.ranges)
        if rows != written:
            raise InconsistentPartialsError(
                f"{counted(rows, 'message was', 'messages were')} read, but {counted(written, 'documents row')} written"
            )
    ordered = sorted(result.ranges, key=lambda part: (part.partition, part.first))
    for left, right in pairwise(ordered):
        if left.partition == right.partition and left.end > right.first:
            raise InconsistentPartialsError(f"two tasks read the same offsets: {left} and {right}")
