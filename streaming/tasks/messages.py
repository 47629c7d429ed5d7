"""Parse an Arrow batch of topic messages into columns: source place, header fields, payload span.

The vectorised inverse of `producers.topic.message`. A message that cannot be parsed still becomes a row: a stub keeps
the reason that the producer gave it, anything else is `malformed`. What a message is, its key alone says.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from conf import reasons
from producers.topic.message import STUB_FIELDS_BYTES, read_stub
from sinks.documents.hosts import hosts_of
from sinks.documents.takedowns import TakedownMatcher
from streaming.tasks.dates import read_dates
from streaming.tasks.keys import RECORD_KIND, RETRACTION_KIND, STUB_KIND, binary_buffers, read_keys
from streaming.text.headers import DATE, LANGUAGE, RECORD_ID, TYPE, URI, Headers


@dataclass(frozen=True)
class Messages:
    """Columns of n messages; arrays have n elements.

    Attributes:
        records: int8: 1, or -1 for a retraction.
        reason: Why a message is not a page; None for a conversion record.
        payload_bytes: int64; for a stub, the bytes that it stands for.
        data: uint8, the values.
        starts: int64, where the payload begins in `data`; -1 where there is no page to judge.
        ends: int64, where it ends.
    """

    source: pa.Array
    record_offset: pa.Array
    inner_offset: pa.Array
    next_offset: pa.Array
    next_inner: pa.Array
    records: NDArray[np.int8]
    record_id: pa.Array
    url: pa.Array
    date: pa.Array
    language_header: list[str | None]
    reason: list[str | None]
    payload_bytes: NDArray[np.int64]
    data: NDArray[np.uint8]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]


def read_messages(keys: pa.Array, values: pa.Array) -> Messages:
    """Parse the binary columns `key` and `value` of n messages; the bytes of the values are not copied.

    Any bytes are accepted: a message that no producer of ours wrote becomes a `malformed` row of UNKNOWN_SOURCE.
    """
    n = len(values)
    key = read_keys(keys)
    data, offsets = binary_buffers(values)
    headers = Headers(data, offsets)
    kind = pc.utf8_lower(headers.field(TYPE))
    readable = headers.payloads >= 0
    is_record = key.kind == RECORD_KIND
    page = is_record & readable & _mask(pc.equal(kind, "conversion"))

    ends = offsets[1:].astype(np.int64)
    payload_bytes = np.where(readable, ends - headers.payloads, ends - offsets[:-1])
    records = np.ones(n, np.int8)
    reason = np.full(n, None, object)
    reason[~page] = reasons.NOT_CONVERSION
    reason[~is_record | ~readable | (~page & ~_mask(kind.is_valid()))] = reasons.MALFORMED
    for i in np.flatnonzero((key.kind == STUB_KIND) | (key.kind == RETRACTION_KIND)):
        stub = read_stub(data[offsets[i] : min(ends[i], offsets[i] + STUB_FIELDS_BYTES)].tobytes())
        if stub is not None and stub[0] in reasons.STUB_REASONS:
            reason[i], payload_bytes[i] = stub
            records[i] = -1 if key.kind[i] == RETRACTION_KIND else 1
    return Messages(
        source=key.source,
        record_offset=pa.array(key.places[:, 0]),
        inner_offset=pa.array(key.places[:, 1]),
        next_offset=pa.array(key.places[:, 2]),
        next_inner=pa.array(key.places[:, 3]),
        records=records,
        record_id=headers.field(RECORD_ID),
        url=headers.field(URI),
        date=read_dates(data, headers.spans[:, DATE, 0], headers.spans[:, DATE, 1]),
        language_header=headers.field(LANGUAGE).to_pylist(),
        reason=reason.tolist(),
        payload_bytes=payload_bytes,
        data=data,
        starts=np.where(page, headers.payloads, -1),
        ends=ends,
    )


def take_down(messages: Messages, takedowns: TakedownMatcher) -> Messages:
    """Return the messages with nothing left of the pages that are taken down but their place and their size."""
    down = takedowns.match(messages.url, hosts_of(messages.url.to_pylist()))
    if not down.true_count:
        return messages
    mask = down.to_numpy(zero_copy_only=False)
    reason: list[str | None] = list(messages.reason)
    language_header = list(messages.language_header)
    for i in np.flatnonzero(mask).tolist():
        reason[i], language_header[i] = reasons.TAKEN_DOWN, None
    return replace(
        messages,
        record_id=pc.if_else(down, None, messages.record_id),
        url=pc.if_else(down, None, messages.url),
        date=pc.if_else(down, None, messages.date),
        language_header=language_header,
        reason=reason,
        starts=np.where(mask, -1, messages.starts),
    )


def _mask(condition: pa.Array) -> NDArray[np.bool_]:
    return pc.fill_null(condition, False).to_numpy(zero_copy_only=False)
