"""Parse an Arrow batch of topic messages into columns: source place, header fields, payload span.

The vectorised inverse of `producers.topic.message`. A message that cannot be parsed still becomes a row: a stub keeps
the reason that the producer gave it, anything else is `malformed`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from conf import reasons
from producers.topic.message import STUB_TYPE
from streaming.text.headers import DATE, LANGUAGE, RECORD_ID, TYPE, URI, Headers

# The last @ divides: a source may hold one. The place is <member> or <member>+<inner>.
KEY = r"(?s)^(?P<source>.+)@(?P<member>\d{1,18})(?:\+(?P<inner>\d{1,18}))?$"
UNKNOWN_SOURCE = "unknown"
MAX_STUB_HEADER_BYTES = 4096


@dataclass(frozen=True)
class Messages:
    """n messages. Arrays by message have n elements.

    `reason`: why a message is no page (None for a conversion record). `starts`, `ends` int64: span of the payload in
    `data`; start -1 where there is no page to judge.
    """

    source: pa.Array
    record_offset: pa.Array
    inner_offset: pa.Array
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
    """Take apart the binary columns `key` and `value` of n messages; the values' bytes are not copied."""
    n = len(values)
    source, record_offset, inner_offset = read_places(keys)
    data, offsets = _buffers(values)
    headers = Headers(data, offsets)
    kind = pc.utf8_lower(headers.field(TYPE))
    readable = headers.payloads >= 0
    stub = _mask(pc.equal(kind, STUB_TYPE.decode())) & readable
    page = _mask(pc.equal(kind, "conversion")) & readable

    ends = offsets[1:].astype(np.int64)
    payload_bytes = np.where(readable, ends - headers.payloads, ends - offsets[:-1])
    records = np.ones(n, np.int8)
    reason = np.full(n, None, object)
    reason[~page] = reasons.NOT_CONVERSION
    reason[~readable | (~page & ~_mask(kind.is_valid()))] = reasons.MALFORMED
    for i in np.flatnonzero(stub):
        head = data[offsets[i] : min(ends[i], offsets[i] + MAX_STUB_HEADER_BYTES)].tobytes()
        reason[i], records[i], payload_bytes[i] = _read_stub(head)
    return Messages(
        source=source,
        record_offset=record_offset,
        inner_offset=inner_offset,
        records=records,
        record_id=headers.field(RECORD_ID),
        url=headers.field(URI),
        date=_dates(headers.field(DATE)),
        language_header=headers.field(LANGUAGE).to_pylist(),
        reason=reason.tolist(),
        payload_bytes=payload_bytes,
        data=data,
        starts=np.where(page, headers.payloads, -1),
        ends=ends,
    )


def read_places(keys: pa.Array) -> tuple[pa.Array, pa.Array, pa.Array]:
    """Source, member offset and inner offset of each key; what is no key of ours stands at `unknown`, -1."""
    try:
        text = keys.cast(pa.string())
    except pa.ArrowInvalid:  # not UTF-8: no key of ours
        text = pa.array([key.decode("utf-8", "replace") if key is not None else None for key in keys.to_pylist()])
    parts = pc.extract_regex(text, KEY)
    source = pc.fill_null(pc.struct_field(parts, "source"), UNKNOWN_SOURCE)
    member = pc.fill_null(pc.struct_field(parts, "member").cast(pa.int64()), -1)
    inner = pc.struct_field(parts, "inner")
    inner = pc.fill_null(pc.if_else(pc.equal(inner, ""), "0", inner), "0").cast(pa.int64())
    return source, member, inner


def _buffers(values: pa.Array) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Data and offsets of a binary array, also of a slice; a null is an empty value."""
    if values.null_count:
        values = pc.fill_null(values, b"")
    _, offsets, data = values.buffers()
    bounds = np.frombuffer(offsets, np.int32)[values.offset : values.offset + len(values) + 1]
    return (np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)), bounds


def _mask(condition: pa.Array) -> NDArray[np.bool_]:
    return pc.fill_null(condition, False).to_numpy(zero_copy_only=False)


def _dates(text: pa.Array) -> pa.Array:
    """WARC-Date (W3C profile of ISO 8601, UTC) in microseconds; fractions are cut off, other text is null."""
    seconds = pc.utf8_slice_codeunits(text, 0, 19)
    parsed = pc.strptime(seconds, format="%Y-%m-%dT%H:%M:%S", unit="us", error_is_null=True)
    return pc.assume_timezone(parsed, "UTC")


def _read_stub(head: bytes) -> tuple[str, int, int]:
    """Reason, records (1 or -1) and length of a stub."""
    fields = {}
    for line in head.split(b"\r\n\r\n", 1)[0].split(b"\r\n"):
        name, _, value = line.partition(b":")
        fields[name.lower()] = value.strip().decode("utf-8", "replace")
    reason, length = fields.get(b"wetstream-reason", ""), fields.get(b"wetstream-length", "")
    records = {"1": 1, "-1": -1}.get(fields.get(b"wetstream-records", ""))
    if reason not in reasons.STUB_REASONS or records is None or not (length.isascii() and length.isdigit()):
        return reasons.MALFORMED, 1, len(head)
    return reason, records, min(int(length), 1 << 62)
