"""What a Spark task of the P2.1 job does: one WET file into Parquet files of documents rows, and into partial sums.

Records take the very way of the stream (message, headers, kernel, rows), so that a page gets the same bag in both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count

import pyarrow as pa

from conf.settings import Settings
from producers.sources.source import Source
from producers.wet.records import NotWetError
from sinks.documents.files import write_document_file
from sinks.statistics.derive import derive_counts
from sinks.statistics.sums import Sums
from streaming.files import BATCH_RECORDS, source_messages
from streaming.fused import ArrowFunction, TaskConfig
from streaming.messages import read_messages
from streaming.partials import SCHEMA, OffsetRange, partial_rows
from streaming.rows import RowBuffer
from streaming.text.judge import judge
from streaming.text.kernel import Bagger

ERROR = "error"  # a kind of partial row: its text says why a file cannot be read
# A file of rows is written at the latest behind so many; the memory of a task is bounded by them, not by its WET file.
PART_RECORDS, PART_WORDS = 1 << 16, 1 << 24
# A worker that has met more words begins a new vocabulary with its next file.
MOST_WORDS = 4_000_000

KeysAndValues = tuple[pa.Array, pa.Array]

_baggers: dict[str, Bagger] = {}


@dataclass(frozen=True)
class Reading:
    """What all tasks are told. `part_records`: records behind which a file of rows is complete."""

    job: TaskConfig
    sources: Sequence[Source]
    settings: Settings
    part_records: int = PART_RECORDS


def reading_pass(reading: Reading) -> ArrowFunction:
    """The function for `mapInArrow` over a column `id`: the places of the sources to read."""

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for number in batch.column("id").to_pylist():
                yield from read_source(reading, number)

    return run


def read_source(reading: Reading, number: int) -> Iterator[pa.RecordBatch]:
    """Read one source. Its files are keyed so that their keys ascend in the order of its records (see `part_key`)."""
    source, job, settings = reading.sources[number], reading.job, reading.settings.producer
    bagger = _bagger(job)
    begin = 0
    try:
        batches = source_messages(source, settings, min(BATCH_RECORDS, reading.part_records))
        for part in count():
            rows = _part(bagger, batches, reading.part_records)
            if not len(rows):
                return
            table = rows.table(bagger)
            try:
                written = write_document_file(job.table, table, compression_level=job.compression_level)
            except OSError as error:
                yield _failure(number, f"{job.table} cannot be written: {error.strerror or error}")
                return
            counts = Sums()
            derive_counts(table, counts)
            ids, tf, df = bagger.take_counts()
            ranges = [OffsetRange(number, begin, begin + len(rows), len(rows))]
            begin += len(rows)
            key = str(part_key(number, part))
            yield from partial_rows(bagger.words(ids), tf, df, counts, ranges, written, key, packed=False)
    except NotWetError as error:
        yield _failure(number, str(error))
    except OSError as error:
        yield _failure(number, f"{source.name} cannot be read: {error.strerror or error}")


def part_key(number: int, part: int) -> int:
    """Key of the part of a source: ascends with the sources, and with the parts of each."""
    return number << 32 | part


def _part(bagger: Bagger, batches: Iterator[KeysAndValues], records: int) -> RowBuffer:
    """The rows of the next file; none at the end of the source."""
    bagger.reset()
    rows, words = RowBuffer(), 0
    for keys, values in batches:
        messages = read_messages(keys, values)
        judged = judge(bagger, messages.data, messages.starts, messages.ends, messages.language_header)
        rows.add(messages, pa.nulls(len(keys), pa.int32()), pa.nulls(len(keys), pa.int64()), judged)
        words += judged.bags.words.size
        if len(rows) >= records or words >= PART_WORDS:
            break
    return rows


def _bagger(job: TaskConfig) -> Bagger:
    key = job.profile.rules_hash
    if key not in _baggers or len(_baggers[key]) > MOST_WORDS:
        _baggers[key] = Bagger(job.profile)
    return _baggers[key]


def _failure(number: int, message: str) -> pa.RecordBatch:
    row = {"kind": ERROR, "key": str(number).encode(), "a": 0, "b": 0, "c": 0, "text": message}
    return pa.RecordBatch.from_pylist([row], schema=SCHEMA)
