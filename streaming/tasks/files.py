"""WET files as a batch, without Kafka.

A task reads whole files with the producer's reader and gives each record the key and value that its Kafka message would
have. The documents therefore equal those that come through the topic, except that their topic position is null.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from conf.settings import ProducerSettings
from producers.sources.source import Source
from producers.sources.urls import is_url
from producers.wet.records import NotWetError
from streaming.tasks.fused import ArrowFunction, FlushLimits, TaskConfig, TaskWork
from streaming.tasks.message_batches import BATCH_RECORDS, source_messages
from streaming.tasks.partials import OffsetRange, unreadable_row

# What a task reads at most, in bytes on disk (or one file, however large). It keeps its bags in memory to its end: of
# gzip, that is about half a gigabyte. A file of a crawl is larger than this.
TASK_BYTES = 80 << 20
REMOTE_BYTES = 150 << 20  # assumed for a file whose size would need a request: that of a crawl's WET files


def plan_parts(sources: Sequence[Source], tasks: int) -> Iterator[list[list[Source]]]:
    """Cut the sources into parts, in their order: each of at most `tasks` groups of about the same size."""
    begin = 0
    while begin < len(sources):
        end, size = begin, 0
        while end < len(sources) and (end == begin or size + stored_bytes(sources[end]) <= tasks * TASK_BYTES):
            size += stored_bytes(sources[end])
            end += 1
        groups: list[list[Source]] = [[] for _ in range(min(tasks, end - begin))]
        sizes = [0] * len(groups)
        for source in sorted(sources[begin:end], key=stored_bytes, reverse=True):
            # Of equal sizes the one with fewer files: sizes may be unknown, which counts as 0.
            least = min(range(len(groups)), key=lambda group: (sizes[group], len(groups[group])))
            groups[least].append(source)
            sizes[least] += stored_bytes(source)
        yield groups
        begin = end


def stored_bytes(source: Source) -> int:
    """Bytes of a source on disk; an estimate for one that is not on this machine."""
    if is_url(source.location):
        return REMOTE_BYTES
    try:
        return Path(source.location).stat().st_size
    except OSError:
        return 0  # the task that reads it reports the error


def files_pass(groups: Sequence[Sequence[Source]], config: TaskConfig, settings: ProducerSettings) -> ArrowFunction:
    """Return the function for `mapInArrow` over a column of indices into `groups`."""

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for number in batch.column(0).to_pylist():
                yield from process_files(groups[number], config, settings)

    return run


def process_files(
    sources: Sequence[Source], config: TaskConfig, settings: ProducerSettings
) -> Iterator[pa.RecordBatch]:
    """Yield the partial rows of some files: of each all or, if it cannot be read, a row that says why."""
    left = list(sources)
    while left:
        work = TaskWork(config)
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
            # Part of it may be counted already: read the others again, without it.
            yield unreadable_row(source.id, why)
            left.remove(source)
            break
        else:
            yield from work.flush(left[0].id, [])
            return


def process_in_parts(
    number: int, source: Source, config: TaskConfig, settings: ProducerSettings, limits: FlushLimits
) -> Iterator[pa.RecordBatch]:
    """Yield the partial rows of one source, which is written to as many files as `limits` ask for.

    The keys of its files ascend with `number` and with the order of its records. If it cannot be read or written, the
    last row says why; its key is `number`.
    """
    work = TaskWork(config, limits)
    begin = part = 0

    def flush() -> list[pa.RecordBatch]:
        nonlocal begin, part
        ranges = [OffsetRange(number, begin, begin + len(work), len(work))]
        key = str(number << 32 | part)
        begin, part = begin + len(work), part + 1
        try:
            return list(work.flush(key, ranges))
        except OSError as error:
            raise _NotWrittenError(f"{config.table} cannot be written: {error.strerror or error}") from error

    try:
        for keys, values in source_messages(source, settings, min(BATCH_RECORDS, limits.rows)):
            work.add(keys, values, pa.nulls(len(keys), pa.int32()), pa.nulls(len(keys), pa.int64()))
            if work.is_full:
                yield from flush()
        if len(work):
            yield from flush()
    except (NotWetError, _NotWrittenError) as error:
        yield unreadable_row(str(number), str(error))
    except OSError as error:
        yield unreadable_row(str(number), f"{source.name} cannot be read: {error.strerror or error}")


class _NotWrittenError(Exception):
    """A file of documents rows cannot be written."""
