"""The fused pass: raw messages in, a Parquet file and small partial rows out, in one Python pass.

Returning the bags to the JVM and writing them there takes about six times as long, so tasks write the documents
themselves, and only sums go back. A file counts only once the driver has committed its name: a task that runs twice, or
dies after writing, leaves a file that no version of the table refers to.
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
from sinks.documents.takedowns import Takedown, TakedownMatcher
from sinks.statistics.derive import derive_counts
from sinks.statistics.sums import Sums
from sinks.storage.location import Location
from streaming.tasks.joins import JoinCheck
from streaming.tasks.keys import read_keys
from streaming.tasks.messages import read_messages, take_down
from streaming.tasks.partials import OffsetRange, partial_rows, unjoined_rows
from streaming.tasks.progress import ReadCount
from streaming.tasks.rows import RowBuffer
from streaming.text.judge import judge
from streaming.text.kernel import Bagger

_NOTHING = (np.zeros(0, np.int64), np.zeros(0, np.int64))
ArrowFunction = Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]

# By rules hash, for the life of the Python worker, whose vocabulary is worth keeping between micro-batches.
_baggers: dict[str, Bagger] = {}


@dataclass(frozen=True)
class TaskConfig:
    """What a task needs: the rules, where the documents go, and what does not count. Sent to the executors.

    `exclusions`: by source, grouped once for all tasks. `takedowns`: pages to keep out. `direct`: tasks are so few that
    their words go to the driver as they are, packed. `counts`: folder of `ReadCounts`, where the tasks reach it.
    """

    profile: Profile
    table: Location
    compression_level: int
    exclusions: Mapping[str, Sequence[Exclusion]] = field(default_factory=dict)
    takedowns: Sequence[Takedown] = ()
    direct: bool = False
    counts: Path | None = None
    rules_hash: str = field(init=False)  # computed once, on the driver: it reads every word of the profile

    def __post_init__(self) -> None:
        object.__setattr__(self, "rules_hash", self.profile.rules_hash)


@dataclass(frozen=True)
class FlushLimits:
    """Bounds on the memory of a task that reads much: it writes its rows to a file when it reaches one.

    Args:
        rows: Rows of documents.
        entries: Entries of their bags.
        vocabulary: Distinct words that a worker knows at the start of a task; beyond that it forgets them.
    """

    rows: int
    entries: int
    vocabulary: int


def fused_pass(config: Broadcast[TaskConfig]) -> ArrowFunction:
    """Return the function for `mapInArrow` over columns key, value (binary), partition (int) and offset (long).

    The configuration is broadcast, so that a Python worker reads its profile (half a megabyte of words) once and not in
    every task.
    """

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from pyspark import TaskContext

        context = TaskContext.get()
        return run_task(config.value, batches, context.partitionId() if context is not None else 0)

    return run


def run_task(config: TaskConfig, batches: Iterator[pa.RecordBatch], task: int) -> Iterator[pa.RecordBatch]:
    """Run one task: judge every message, write one file of documents rows, yield the partial rows."""
    work = TaskWork(config)
    ranges: dict[int, OffsetRange] = {}
    for batch in batches:
        if batch.num_rows:
            counted = _counted(batch, config.exclusions)
            _extend(ranges, batch.column("partition"), batch.column("offset"), counted)
            if counted.false_count:
                batch = batch.filter(counted)
            work.add(batch.column("key"), batch.column("value"), batch.column("partition"), batch.column("offset"))
    if ranges:
        yield from work.flush(str(task), list(ranges.values()))
        yield from unjoined_rows(work.joins.unjoined)


class TaskWork:
    """What a task does with messages, wherever they come from: judge them, write files, hand out sums."""

    def __init__(self, config: TaskConfig, limits: FlushLimits | None = None) -> None:
        self._config = config
        self._limits = limits
        self._bagger = _bagger(config, limits)
        # An earlier task that failed in this worker must not leave its counts behind.
        self._bagger.reset()
        self._rows = RowBuffer()
        self._entries = 0
        self._takedowns = TakedownMatcher(config.takedowns)
        self._read = ReadCount(config.counts)
        self.joins = JoinCheck()

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def is_full(self) -> bool:
        """Whether a limit is reached, so that it is time to `flush`."""
        limits = self._limits
        return limits is not None and (len(self._rows) >= limits.rows or self._entries >= limits.entries)

    def add(self, key: pa.Array, value: pa.Array, partition: pa.Array, offset: pa.Array) -> None:
        """Judge a batch of n messages.

        Args:
            key: Keys, binary.
            value: Values, binary.
            partition: Topic partitions, int32; null for messages that are in no topic.
            offset: Topic offsets, int64; null likewise.
        """
        if not len(key):
            return
        self._read.add(len(key))
        messages = read_messages(key, value)
        if self._takedowns:
            messages = take_down(messages, self._takedowns)
        judged = judge(self._bagger, messages.data, messages.starts, messages.ends, messages.language_header)
        self._rows.add(messages, partition, offset, judged)
        self._entries += judged.bags.words.size
        self.joins.add(messages)

    def flush(self, name: str, ranges: list[OffsetRange]) -> Iterator[pa.RecordBatch]:
        """Write what was added since the last flush to a file, and yield its partial rows.

        Args:
            name: Identifies the file among those of all tasks; the same in every attempt of this one.
            ranges: The offsets that these messages are from.

        Raises:
            OSError: The file cannot be written.
        """
        rows, self._rows, self._entries = self._rows, RowBuffer(), 0
        if not len(rows):
            yield from partial_rows(pa.array([], pa.binary()), *_NOTHING, Sums(), ranges, None, name, packed=False)
            return
        table = rows.table(self._bagger)
        crash_point("before-task-file")
        file = write_document_file(self._config.table, table, compression_level=self._config.compression_level)
        crash_point("after-task-file")
        counts = Sums()
        derive_counts(table, counts)
        ids, tf, df = self._bagger.take_counts()
        yield from partial_rows(self._bagger.words(ids), tf, df, counts, ranges, file, name, packed=self._config.direct)


def warm_up(profile: Profile) -> None:
    """Have the kernel compiled and cached on this machine."""
    value = pa.array([b"WARC/1.0\r\nWARC-Type: conversion\r\n\r\nto be"], pa.binary())
    messages = read_messages(pa.array([b"record source@0-1"], pa.binary()), value)
    judge(Bagger(profile), messages.data, messages.starts, messages.ends, messages.language_header)


def _bagger(config: TaskConfig, limits: FlushLimits | None) -> Bagger:
    known = _baggers.get(config.rules_hash)
    if known is None or (limits is not None and len(known) > limits.vocabulary):
        known = _baggers[config.rules_hash] = Bagger(config.profile)
    return known


def _counted(batch: pa.RecordBatch, exclusions: Mapping[str, Sequence[Exclusion]]) -> pa.BooleanArray:
    """Mask of the messages that count: all except those that an exclusion covers."""
    counted = pa.repeat(pa.scalar(True), batch.num_rows)
    if not exclusions:
        return counted
    source = read_keys(batch.column("key")).source
    partition, offset = batch.column("partition"), batch.column("offset")
    for name in source.unique().to_pylist():
        for exclusion in exclusions.get(name, ()):
            out = pc.and_(pc.equal(source, name), pc.less(offset, exclusion.end))
            if exclusion.begin:
                out = pc.and_(out, pc.greater_equal(offset, exclusion.begin))
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
