"""The fused pass: raw messages in, a Parquet file and small partial rows out, in one Python pass.

Returning the bags themselves to the JVM and writing them there takes about six times as long, so the documents are
written here, and only sums go back. The file is worth nothing until the driver commits its name; a task that runs
twice, or dies after writing, leaves a file that nobody names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark import Broadcast

from conf.crash_points import crash_point
from conf.profiles import Profile
from sinks.documents.exclusions import Exclusion
from sinks.documents.files import write_document_file
from sinks.statistics.derive import derive_counts
from sinks.statistics.sums import Sums
from streaming.keys import read_keys
from streaming.messages import read_messages
from streaming.partials import OffsetRange, partial_rows
from streaming.rows import RowBuffer
from streaming.text.judge import judge
from streaming.text.kernel import Bagger

_NOTHING = (np.zeros(0, np.int64), np.zeros(0, np.int64))
ArrowFunction = Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]

# One a rules hash, kept for the life of the Python worker: its vocabulary is worth keeping between micro-batches.
_baggers: dict[str, Bagger] = {}


@dataclass(frozen=True)
class TaskConfig:
    """What a task needs: the rules, where the documents go, and what does not count. Sent to the executors.

    `direct`: there are so few tasks that their words go straight to the driver, packed.
    """

    profile: Profile
    table: Path
    compression_level: int
    exclusions: tuple[Exclusion, ...] = ()
    direct: bool = False
    rules_hash: str = field(init=False)  # taken once, on the driver: it reads every word of the profile

    def __post_init__(self) -> None:
        object.__setattr__(self, "rules_hash", self.profile.rules_hash)


def fused_pass(job: Broadcast[TaskConfig]) -> ArrowFunction:
    """The function for `mapInArrow` over columns key, value (binary), partition (int) and offset (long).

    The job is broadcast: a Python worker then reads its profile (half a megabyte of words) once, not in every task.
    """

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from pyspark import TaskContext

        context = TaskContext.get()
        return run_task(job.value, batches, context.partitionId() if context is not None else 0)

    return run


def run_task(job: TaskConfig, batches: Iterator[pa.RecordBatch], task: int) -> Iterator[pa.RecordBatch]:
    """One task: judge every message, write one file of documents rows, yield the partial rows."""
    work = TaskWork(job)
    ranges: dict[int, OffsetRange] = {}
    exclusions: dict[str, list[Exclusion]] = {}
    for exclusion in job.exclusions:
        exclusions.setdefault(exclusion.source, []).append(exclusion)
    for batch in batches:
        if batch.num_rows:
            counted = _counted(batch, exclusions)
            _extend(ranges, batch.column("partition"), batch.column("offset"), counted)
            if counted.false_count:
                batch = batch.filter(counted)
            work.add(batch.column("key"), batch.column("value"), batch.column("partition"), batch.column("offset"))
    if ranges:
        yield from work.finish(str(task), list(ranges.values()))


class TaskWork:
    """What a task does with messages, wherever they come from: judge them, write one file, hand out sums."""

    def __init__(self, job: TaskConfig) -> None:
        self._job = job
        self._bagger = _bagger(job)
        # An earlier task that failed in this worker must not leave its counts behind.
        self._bagger.reset()
        self._rows = RowBuffer()

    def add(self, key: pa.Array, value: pa.Array, partition: pa.Array, offset: pa.Array) -> None:
        """Judge a batch of messages."""
        if not len(key):
            return
        messages = read_messages(key, value)
        judged = judge(self._bagger, messages.data, messages.starts, messages.ends, messages.language_header)
        self._rows.add(messages, partition, offset, judged)

    def finish(self, name: str, ranges: list[OffsetRange]) -> Iterator[pa.RecordBatch]:
        """Write the file and yield the partial rows; `name` is the same in every attempt of the task."""
        if not len(self._rows):
            yield from partial_rows(pa.array([], pa.binary()), *_NOTHING, Sums(), ranges, None, name, packed=False)
            return
        table = self._rows.table(self._bagger)
        crash_point("before-task-file")
        file = write_document_file(self._job.table, table, compression_level=self._job.compression_level)
        crash_point("after-task-file")
        counts = Sums()
        derive_counts(table, counts)
        ids, tf, df = self._bagger.take_counts()
        yield from partial_rows(self._bagger.words(ids), tf, df, counts, ranges, file, name, packed=self._job.direct)


def warm_up(profile: Profile) -> None:
    """Have the kernel compiled and cached on this machine."""
    value = pa.array([b"WARC/1.0\r\nWARC-Type: conversion\r\n\r\nto be"], pa.binary())
    messages = read_messages(pa.array([b"record source@0-1"], pa.binary()), value)
    judge(Bagger(profile), messages.data, messages.starts, messages.ends, messages.language_header)


def _bagger(job: TaskConfig) -> Bagger:
    if job.rules_hash not in _baggers:
        _baggers[job.rules_hash] = Bagger(job.profile)
    return _baggers[job.rules_hash]


def _counted(batch: pa.RecordBatch, exclusions: Mapping[str, Sequence[Exclusion]]) -> pa.BooleanArray:
    """Which messages count: all but those that an exclusion covers."""
    counted = pa.repeat(pa.scalar(True), batch.num_rows)
    if not exclusions:
        return counted
    source = read_keys(batch.column("key")).source
    partition, offset = batch.column("partition"), batch.column("offset")
    for name in source.unique().to_pylist():
        for exclusion in exclusions.get(name, ()):
            out = pc.and_(pc.equal(source, name), pc.less(offset, exclusion.end))
            if exclusion.partition >= 0:
                out = pc.and_(out, pc.equal(partition, exclusion.partition))
            counted = pc.and_(counted, pc.invert(out))
    return counted


def _extend(ranges: dict[int, OffsetRange], partitions: pa.Array, offsets: pa.Array, counted: pa.Array) -> None:
    for partition in partitions.unique().to_pylist():
        mine = pc.equal(partitions, partition)
        bounds = pc.min_max(offsets.filter(mine)).as_py()
        old = ranges.get(partition, OffsetRange(partition, bounds["min"], 0, 0))
        rows = pc.sum(counted.filter(mine)).as_py() or 0
        ranges[partition] = OffsetRange(
            partition, min(old.first, bounds["min"]), max(old.end, bounds["max"] + 1), old.rows + rows
        )
