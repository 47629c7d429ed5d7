"""The topic contract: keys and values of the messages that records and stubs become.

key    `<source>@<member>` or `<source>@<member>+<inner>`: the place of the record in its source
value  the unchanged record (WARC header block and payload), so any WARC tool can read it; for a stub, a WARC record of
       a private type whose payload is the header block of what could not be sent

A source always goes to the same partition, so the topic holds its records in file order.
"""

from __future__ import annotations

import zlib
from dataclasses import replace

from producers.wet.items import Record, Stub
from producers.wet.members import Place

STUB_TYPE = b"x-wetstream-stub"
STUB_HEADER_BYTES = 1 << 14  # of the header block of what could not be sent
STUB_BEGIN = b"WARC/1.1\r\nWARC-Type: " + STUB_TYPE + b"\r\n"


def message_key(source: str, place: Place) -> bytes:
    """The key of the message for the record of `source` at `place`."""
    at = f"{place.member}+{place.inner}" if place.inner else str(place.member)
    return f"{source}@{at}".encode()


def clip_header(item: Record | Stub) -> Record | Stub:
    """The item with its header block cut to what a stub's message carries; records are returned unchanged."""
    return item if isinstance(item, Record) else replace(item, header=item.header[:STUB_HEADER_BYTES])


def message_value(item: Record | Stub) -> bytes:
    """The value of a record's or a stub's message."""
    return item.raw if isinstance(item, Record) else stub_value(item)


def stub_value(stub: Stub, records: int = 1) -> bytes:
    """The value of a stub's message.

    `records` is 1, or -1 for a retraction: when a source that was cut has grown, the stub of its cut record is taken
    back before the whole record is sent, so that sums over the topic come out right whatever the download's pace was.
    """
    fields = (
        f"Wetstream-Reason: {stub.reason}\r\nWetstream-Records: {records}\r\nWetstream-Length: {stub.length}\r\n"
        f"Wetstream-Detail: {stub.detail}\r\nContent-Type: application/warc-fields\r\n"
        f"Content-Length: {len(stub.header)}\r\n\r\n"
    )
    return STUB_BEGIN + fields.encode("utf-8", "replace") + stub.header


def partition_of(source: str, partitions: int) -> int:
    """The partition of a source: stable over runs, machines and versions (CRC-32 of the identity)."""
    return zlib.crc32(source.encode()) % partitions
