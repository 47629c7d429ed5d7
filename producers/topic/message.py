"""The topic contract: keys and values of the messages that records and stubs become.

key    `<kind> <source>@<place>-<next>`: what the message is, the place of the record in its source, and the place of
       the record after it. A place is `<member>` or `<member>+<inner>`. Parsed from the end (`streaming.tasks.keys`).
value  the unchanged record (WARC header block and payload), so any WARC tool can read it; for a stub, a WARC record of
       a private type whose payload is the header block of what could not be sent

Only the key says what a message is: its source name is parsed as one opaque piece, and everything else in it is
written by the producer, whereas a value is input. The places make the messages of a source a chain, so a record that
is in the topic twice, or missing, can be found.

A source always goes to the same partition, so the topic holds its records in file order.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import replace
from typing import Final

from producers.wet.items import Record, Stub
from producers.wet.members import Place

CONTRACT: Final = 2
"""Version of the contract. Each progress marker carries it; topics of another version are refused."""

RECORD: Final = "record"
STUB: Final = "stub"
RETRACTION: Final = "retraction"
"""Counts -1: takes the stub of a cut record back, before the whole record is sent."""
KINDS: Final = (RECORD, STUB, RETRACTION)

MAX_SOURCE_BYTES: Final = 1 << 15
MAX_STUB_LENGTH: Final = 1 << 40
"""Bytes that one stub can stand for; what is longer counts as this much, so that sums stay within 64 bits."""
STUB_HEADER_BYTES: Final = 1 << 14
"""Of the header block of what could not be sent."""
STUB_FIELDS_BYTES: Final = 256
"""Of a stub's value: as much as `read_stub` needs."""
MAX_DETAIL: Final = 500
STUB_TYPE: Final = b"x-wetstream-stub"
STUB_BEGIN: Final = b"WARC/1.1\r\nWARC-Type: " + STUB_TYPE + b"\r\n"
STUB_FIELDS: Final = re.compile(
    re.escape(STUB_BEGIN) + rb"Wetstream-Reason: ([a-z_]{1,32})\r\nWetstream-Length: (\d{1,13})\r\n"
)
STUB_DETAIL: Final = re.compile(rb"Wetstream-Detail: ([^\r\n]*)\r\n")


def message_key(source: str, item: Record | Stub) -> bytes:
    """The key of a record's or a stub's message."""
    (member, inner), (next_member, next_inner) = item.place, item.next
    kind = RECORD if type(item) is Record else STUB
    if inner or next_inner:
        return f"{kind} {source}@{_text(item.place)}-{_text(item.next)}".encode()
    return f"{kind} {source}@{member}-{next_member}".encode()


def retraction_key(source: str, stub: Stub) -> bytes:
    """The key of the message that retracts the stub of a cut record. Its value is the stub's."""
    return f"{RETRACTION} {source}@{_text(stub.place)}-{_text(stub.next)}".encode()


def _text(place: Place) -> str:
    return f"{place.member}+{place.inner}" if place.inner else str(place.member)


def clip_header(item: Record | Stub) -> Record | Stub:
    """The item with its header block cut to what a stub's message carries; records are returned unchanged."""
    return item if isinstance(item, Record) else replace(item, header=item.header[:STUB_HEADER_BYTES])


def message_value(item: Record | Stub) -> bytes:
    """The value of a record's or a stub's message."""
    return item.raw if isinstance(item, Record) else stub_value(item)


def stub_value(stub: Stub) -> bytes:
    """The value of a stub's message."""
    detail = re.sub(r"[\x00-\x1f\x7f]+", " ", stub.detail)[:MAX_DETAIL]
    fields = (
        f"Wetstream-Reason: {stub.reason}\r\nWetstream-Length: {min(stub.length, MAX_STUB_LENGTH)}\r\n"
        f"Wetstream-Detail: {detail}\r\nContent-Type: application/warc-fields\r\n"
        f"Content-Length: {len(stub.header)}\r\n\r\n"
    )
    return STUB_BEGIN + fields.encode("utf-8", "replace") + stub.header


def read_stub(value: bytes) -> tuple[str, int] | None:
    """Reason and length from the beginning of a stub's value (STUB_FIELDS_BYTES of it); None if it is not one."""
    match = STUB_FIELDS.match(value)
    if match is None or int(match[2]) > MAX_STUB_LENGTH:
        return None
    return match[1].decode(), int(match[2])


def read_stub_detail(value: bytes) -> str | None:
    """What is wrong, for people, from a stub's value; None if it is not one."""
    fields = STUB_FIELDS.match(value)
    match = None if fields is None else STUB_DETAIL.match(value, fields.end())
    return None if match is None else match[1].decode("utf-8", "replace")


def partition_of(source: str, partitions: int) -> int:
    """The partition of a source: stable over runs, machines and versions (CRC-32 of the identity)."""
    return zlib.crc32(source.encode()) % partitions
