"""The fused pass: raw messages in, a Parquet file and small partial rows out, in one Python pass.

Returning the bags themselves to the JVM and writing them there takes about six times as long, so the documents are
written here, and only sums go back. The file is worth nothing until the driver commits its name; a task that runs
twice, or dies after writing, leaves a file that nobody names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from conf.crash_points import crash_point
from conf.profiles import Profile
from sinks.derive import derive_counts
from sinks.document_files import write_document_file
from sinks.sums import Sums
from streaming.messages import read_messages
from streaming.partials import OffsetRange, partial_rows
from streaming.rows import Rows
from streaming.text.judge import judge
from streaming.text.kernel import Bagger

Pass = Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]

# One a rules hash, kept for the life of the Python worker: its vocabulary is worth keeping between micro-batches.
_baggers: dict[str, Bagger] = {}


@dataclass(frozen=True)
class Job:
    """What a task needs: the rules, and where the documents go. Sent to the executors with the function."""

    profile: Profile
    table: Path
    compression_level: int


def fused_pass(job: Job) -> Pass:
    """The function for `mapInArrow` over columns key, value (binary), partition (int) and offset (long)."""

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from pyspark import TaskContext

        context = TaskContext.get()
        return run_task(job, batches, context.partitionId() if context is not None else 0)

    return run


def run_task(job: Job, batches: Iterator[pa.RecordBatch], task: int) -> Iterator[pa.RecordBatch]:
    """One task: judge every message, write one file of documents rows, yield the partial rows."""
    bagger = _bagger(job.profile)
    # An earlier task that failed in this worker must not leave its counts behind.
    bagger.reset()
    rows = Rows()
    ranges: dict[int, OffsetRange] = {}
    for batch in batches:
        if batch.num_rows:
            partition, offset = batch.column("partition"), batch.column("offset")
            messages = read_messages(batch.column("key"), batch.column("value"))
            judged = judge(bagger, messages.data, messages.starts, messages.ends, messages.language_header)
            rows.add(messages, partition, offset, judged)
            _extend(ranges, partition, offset)
    if not len(rows):
        return
    table = rows.table(bagger)
    crash_point("before-task-file")
    file = write_document_file(job.table, table, compression_level=job.compression_level)
    crash_point("after-task-file")
    counts = Sums()
    derive_counts(table, counts)
    ids, tf, df = bagger.take_counts()
    yield from partial_rows(bagger.words(ids), tf, df, counts, list(ranges.values()), file, task)


def warm_up(profile: Profile) -> None:
    """Have the kernel compiled and cached on this machine."""
    value = pa.array([b"WARC/1.0\r\nWARC-Type: conversion\r\n\r\nto be"], pa.binary())
    messages = read_messages(pa.array([b"source@0"], pa.binary()), value)
    judge(Bagger(profile), messages.data, messages.starts, messages.ends, messages.language_header)


def _bagger(profile: Profile) -> Bagger:
    key = profile.rules_hash
    if key not in _baggers:
        _baggers[key] = Bagger(profile)
    return _baggers[key]


def _extend(ranges: dict[int, OffsetRange], partitions: pa.Array, offsets: pa.Array) -> None:
    for partition in partitions.unique().to_pylist():
        chosen = offsets.filter(pc.equal(partitions, partition))
        bounds = pc.min_max(chosen).as_py()
        old = ranges.get(partition, OffsetRange(partition, bounds["min"], 0, 0))
        ranges[partition] = OffsetRange(
            partition, min(old.first, bounds["min"]), max(old.end, bounds["max"] + 1), old.rows + len(chosen)
        )
