"""The messages that a WET file would become in the topic, in Arrow batches, read from the file itself."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa

from conf.settings import ProducerSettings
from producers.sources.opening import open_source
from producers.sources.source import Source
from producers.topic.message import clip_header, message_key, message_value
from producers.wet.items import Record, Stub
from producers.wet.records import WetReader

BATCH_BYTES = 32 << 20
BATCH_RECORDS = 2000


def source_messages(
    source: Source, settings: ProducerSettings, batch_records: int = BATCH_RECORDS
) -> Iterator[tuple[pa.Array, pa.Array]]:
    """Yield keys and values (binary) of the messages that a source would become, in batches.

    Ends the worker when the process that started it is gone, also in the middle of a record.

    Raises:
        NotWetError: It is no WET file.
        OSError: It cannot be read. Both may follow after some batches.
    """
    parent = os.getppid()

    def check() -> None:
        if os.getppid() != parent:
            raise SystemExit("the process that started this worker is gone")

    with open_source(source, settings, on_wait=check) as file:
        reader = WetReader(
            file,
            source.name,
            max_record_bytes=settings.max_record_bytes,
            verify_digests=settings.verify_digests,
            check=check,
        )
        yield from message_batches(item_messages(source.id, reader), batch_records)


def item_messages(source: str, items: Iterable[Record | Stub]) -> Iterator[tuple[bytes, bytes]]:
    """Yield key and value of the message that each item would become."""
    for item in items:
        yield message_key(source, item), message_value(clip_header(item))


def message_batches(
    messages: Iterable[tuple[bytes, bytes]], batch_records: int = BATCH_RECORDS
) -> Iterator[tuple[pa.Array, pa.Array]]:
    """Yield keys and values (binary) of messages, in batches."""
    keys: list[bytes] = []
    values: list[bytes] = []
    size = 0
    for key, value in messages:
        keys.append(key)
        values.append(value)
        size += len(value)
        if size >= BATCH_BYTES or len(keys) >= batch_records:
            yield _column(keys), _column(values)
            keys, values, size = [], [], 0
    if keys:
        yield _column(keys), _column(values)


def _column(values: Sequence[bytes]) -> pa.BinaryArray:
    """The same as pa.array, in half the time."""
    offsets = np.zeros(len(values) + 1, np.int32)
    np.cumsum(np.fromiter(map(len, values), np.int32, len(values)), out=offsets[1:])
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(values))]
    return pa.BinaryArray.from_buffers(pa.binary(), len(values), buffers)
