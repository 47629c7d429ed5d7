"""Tasks of the fused pass without Spark: their messages, and the sum of their partial rows."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from producers.topic.message import message_key, message_value
from producers.wet.records import read_records
from streaming.tasks.fused import TaskConfig, run_task
from streaming.tasks.partials import SCHEMA, MicroBatch, read_partials


def messages(path: Path, partition: int = 0, size: int = 50) -> list[pa.RecordBatch]:
    """The records of a file as Arrow batches of topic messages."""
    rows = [
        {"key": message_key("s", item), "value": message_value(item), "partition": partition, "offset": offset}
        for offset, item in enumerate(read_records(path))
    ]
    schema = pa.schema(
        [("key", pa.binary()), ("value", pa.binary()), ("partition", pa.int32()), ("offset", pa.int64())]
    )
    return pa.Table.from_pylist(rows, schema=schema).to_batches(max_chunksize=size)


def summed(rows: list[pa.RecordBatch]) -> pa.Table:
    """What Spark's aggregation makes of the partial rows."""
    table = pa.Table.from_batches(rows, schema=SCHEMA)
    by = table.group_by(["kind", "key"], use_threads=False)
    out = by.aggregate([("a", "sum"), ("b", "sum"), ("c", "sum"), ("text", "max")])
    return out.rename_columns(["kind", "key", "a", "b", "c", "text"])


def run(job: TaskConfig, batches: list[pa.RecordBatch], task: int = 0) -> list[pa.RecordBatch]:
    return list(run_task(job, iter(batches), task))


def result(*tasks: list[pa.RecordBatch]) -> MicroBatch:
    return read_partials(summed([row for task in tasks for row in task]))
