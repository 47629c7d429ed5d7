"""WET files as a batch, without Kafka: each file is a task, and goes the way of the messages that it would have become.

The producer's reader gives the records, `producers.message` their keys and values; so the documents are the same as
through the topic, but for the position in it, which is null.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from conf.settings import ProducerSettings
from producers.message import clipped, message_key, message_value
from producers.opening import open_location
from producers.records import NotWetError, WetReader
from producers.source import Source
from streaming.fused import Job, Pass, TaskWork
from streaming.partials import SPARK_SCHEMA, unreadable_row
from streaming.query import combined

BATCH_BYTES = 32 << 20
BATCH_RECORDS = 2000


def summed_files(spark: SparkSession, sources: Sequence[Source], job: Job, settings: ProducerSettings) -> DataFrame:
    """The partial rows of all sources; a task a source."""
    numbers = spark.range(0, len(sources), 1, len(sources))
    return combined(numbers.mapInArrow(files_pass(list(sources), job, settings), SPARK_SCHEMA), len(sources))


def files_pass(sources: Sequence[Source], job: Job, settings: ProducerSettings) -> Pass:
    """The function for `mapInArrow` over a column of indices into `sources`."""

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for number in batch.column(0).to_pylist():
                yield from run_file(sources[number], job, settings)

    return run


def run_file(source: Source, job: Job, settings: ProducerSettings) -> Iterator[pa.RecordBatch]:
    """One file: all of it, or one row that says why it cannot be read."""
    work = TaskWork(job)
    try:
        for keys, values in _messages(source, settings):
            nothing = pa.nulls(len(keys), pa.int32()), pa.nulls(len(keys), pa.int64())
            work.add(pa.array(keys, pa.binary()), pa.array(values, pa.binary()), *nothing)
    except NotWetError as error:
        yield unreadable_row(source.id, str(error))
    except OSError as error:
        yield unreadable_row(source.id, f"{source.name} cannot be read: {error.strerror or error}")
    else:
        yield from work.finish(source.id, [])


def _messages(source: Source, settings: ProducerSettings) -> Iterator[tuple[list[bytes], list[bytes]]]:
    keys: list[bytes] = []
    values: list[bytes] = []
    size = 0
    with open_location(source.location, settings) as file:
        reader = WetReader(
            file, source.name, max_record_bytes=settings.max_record_bytes, verify_digests=settings.verify_digests
        )
        for item in reader:
            value = message_value(clipped(item))
            keys.append(message_key(source.id, item.place))
            values.append(value)
            size += len(value)
            if size >= BATCH_BYTES or len(keys) >= BATCH_RECORDS:
                yield keys, values
                keys, values, size = [], [], 0
    yield keys, values
