"""WET files as a batch, without Kafka.

A task reads whole files with the producer's reader and gives each record the key and value that its Kafka message would
have. The documents therefore equal those that come through the topic, except that their topic position is null.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from conf.settings import ProducerSettings
from producers.sources.opening import open_location
from producers.sources.source import Source
from producers.sources.urls import is_url
from producers.topic.message import clip_header, message_key, message_value
from producers.wet.records import NotWetError, WetReader
from streaming.fused import ArrowFunction, TaskConfig, TaskWork
from streaming.partials import SPARK_SCHEMA, unreadable_row
from streaming.query import combine_partials

BATCH_BYTES = 32 << 20
BATCH_RECORDS = 2000
# What a task reads at most, as the files are on disk (or one file, however large). Its bags stay in memory till its
# end: of gzip, that is about half a gigabyte. A file of a crawl is larger than this.
TASK_BYTES = 80 << 20
REMOTE_BYTES = 150 << 20  # of a file whose size would have to be asked for: as a crawl's WET files are


def plan_parts(sources: Sequence[Source], tasks: int) -> Iterator[list[list[Source]]]:
    """The sources in parts of at most so many tasks of about equal size, in their order."""
    begin = 0
    while begin < len(sources):
        end, size = begin, 0
        while end < len(sources) and (end == begin or size + stored_bytes(sources[end]) <= tasks * TASK_BYTES):
            size += stored_bytes(sources[end])
            end += 1
        groups: list[list[Source]] = [[] for _ in range(min(tasks, end - begin))]
        sizes = [0] * len(groups)
        for source in sorted(sources[begin:end], key=stored_bytes, reverse=True):
            least = sizes.index(min(sizes))
            groups[least].append(source)
            sizes[least] += stored_bytes(source)
        yield groups
        begin = end


def stored_bytes(source: Source) -> int:
    """Bytes on disk; a guess for what is not on this machine."""
    if is_url(source.location):
        return REMOTE_BYTES
    try:
        return Path(source.location).stat().st_size
    except OSError:
        return 0  # whoever reads it says why it cannot be


def sum_files(
    spark: SparkSession, groups: Sequence[Sequence[Source]], job: TaskConfig, settings: ProducerSettings
) -> DataFrame:
    """The partial rows of all sources; a task a group."""
    numbers = spark.range(0, len(groups), 1, len(groups))
    return combine_partials(numbers.mapInArrow(files_pass(groups, job, settings), SPARK_SCHEMA), job)


def files_pass(groups: Sequence[Sequence[Source]], job: TaskConfig, settings: ProducerSettings) -> ArrowFunction:
    """The function for `mapInArrow` over a column of indices into `groups`."""

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for number in batch.column(0).to_pylist():
                yield from process_files(groups[number], job, settings)

    return run


def process_files(sources: Sequence[Source], job: TaskConfig, settings: ProducerSettings) -> Iterator[pa.RecordBatch]:
    """Some files: all of each, or a row that says why it cannot be read; then nothing of it is counted."""
    left = list(sources)
    while left:
        work = TaskWork(job)
        for source in left:
            try:
                for keys, values in source_messages(source, settings):
                    work.add(keys, values, pa.nulls(len(keys), pa.int32()), pa.nulls(len(keys), pa.int64()))
            except NotWetError as error:
                why = str(error)
            except OSError as error:
                why = f"{source.name} cannot be read: {error.strerror or error}"
            else:
                continue
            # Part of it may be counted already: the others are read again, without it.
            yield unreadable_row(source.id, why)
            left.remove(source)
            break
        else:
            yield from work.finish(left[0].id, [])
            return


def source_messages(
    source: Source, settings: ProducerSettings, batch_records: int = BATCH_RECORDS
) -> Iterator[tuple[pa.Array, pa.Array]]:
    """Keys and values of the messages that a source would become, at most so many at a time.

    Raises NotWetError, OSError; perhaps only behind some batches.
    """
    keys: list[bytes] = []
    values: list[bytes] = []
    size = 0
    with open_location(source.location, settings) as file:
        reader = WetReader(
            file, source.name, max_record_bytes=settings.max_record_bytes, verify_digests=settings.verify_digests
        )
        for item in reader:
            value = message_value(clip_header(item))
            keys.append(message_key(source.id, item))
            values.append(value)
            size += len(value)
            if size >= BATCH_BYTES or len(keys) >= batch_records:
                yield _column(keys), _column(values)
                keys, values, size = [], [], 0
    if keys:
        yield _column(keys), _column(values)


def _column(values: Sequence[bytes]) -> pa.BinaryArray:
    """As pa.array makes it, in half the time."""
    offsets = np.zeros(len(values) + 1, np.int32)
    np.cumsum(np.fromiter(map(len, values), np.int32, len(values)), out=offsets[1:])
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(values))]
    return pa.BinaryArray.from_buffers(pa.binary(), len(values), buffers)
