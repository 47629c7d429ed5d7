"""Recognising WET files: the compression of one, and for any other file a sentence that says what it seems to be."""

from __future__ import annotations

import re
from collections.abc import Callable

from conf.errors import ExplainedError
from conf.reasons import DAMAGED
from producers.wet.codec import CODECS, Codec, codec_of
from producers.wet.file_buffer import Readable, no_check
from producers.wet.header import FIRST_LINE, LINE_ENDS, NEXT_RECORD, VERSION
from producers.wet.members import Members

# How far the beginning of a record is searched where the first bytes of a WET file are damaged.
DAMAGED_HEAD_BYTES = 1 << 20
SAMPLE_BYTES = 1 << 16
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
PLAIN_RECORD = re.compile(rb"\nWARC/[0-9]{1,3}\.[0-9]{1,3}\r?\nWARC-[A-Z]", re.IGNORECASE)
HTML = re.compile(rb"\s*<(!doctype|html|\?xml)", re.IGNORECASE)
KIND = re.compile(rb"\nWARC-Type[ \t]*:[ \t]*(\w+)", re.IGNORECASE)
OTHER_COMPRESSIONS = {
    b"BZh": "compressed with bzip2",
    b"\xfd7zXZ\0": "compressed with xz",
    b"\x04\x22\x4d\x18": "compressed with lz4",
    b"\x1f\x9d": "compressed with compress",
    b"PK\x03\x04": "a zip archive",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
}
# A first line is shorter than this.
LINE_BYTES = 64


class NotWetError(ExplainedError):
    """The file is not WET; the message says what it looks like and what to do."""


def recognise(file: Readable, name: str, check: Callable[[], None] = no_check) -> Codec | None:
    """Return the codec of a WET file; None if it is not compressed.

    A WET file whose first record is damaged is still one.

    Raises:
        NotWetError: It cannot be a WET file.
    """
    file.seek(0)
    head = file.read(SAMPLE_BYTES)
    if not head:
        raise NotWetError(f"{name} is empty (0 bytes): fetch it again")
    codec = codec_of(head)
    if codec is not None:
        text = _decoded_head(file, name, codec, check)
    elif _text_begin(head).startswith(VERSION):
        text = _text_begin(head)
    else:
        codec, text = _behind_damage(file, name, head, check)
    _refuse_other_versions(name, text)
    _refuse_other_kinds(name, text)
    return codec


def _text_begin(text: bytes) -> bytes:
    return text.lstrip(LINE_ENDS).removeprefix(BYTE_ORDER_MARK)


def _decoded_head(file: Readable, name: str, codec: Codec, check: Callable[[], None]) -> bytes:
    members = Members(file, codec, check=check)
    text = _text_begin(members.fill())[:SAMPLE_BYTES]
    failure = members.failure
    if not text.startswith(VERSION) and failure is not None and failure.reason == DAMAGED:
        if members.skip_damage(failure.member + 1, limit=DAMAGED_HEAD_BYTES) is None:
            raise NotWetError(
                f"{name}: its first {codec.name} member cannot be read ({failure.detail}, byte offset 0), and no WARC "
                "record follows it: fetch it again"
            )
        text = _text_begin(members.fill())[:SAMPLE_BYTES]
    if not text and failure is not None:
        raise NotWetError(f"{name}: {failure.detail} before its first record (byte offset 0): fetch it again")
    if not text.startswith(VERSION):
        inner = codec_of(text)
        if inner is not None:
            raise NotWetError(f"{name} is {inner.name} inside {codec.name}: decompress it once, then ingest it")
        _refuse(name, text)
    return text


def _behind_damage(file: Readable, name: str, head: bytes, check: Callable[[], None]) -> tuple[Codec | None, bytes]:
    """The file does not begin as a WET file does: look for records a little further on."""
    if not HTML.match(head) and _other_compression(head) is None:
        for codec in CODECS:
            members = Members(file, codec, check=check)
            if members.skip_damage(0, limit=DAMAGED_HEAD_BYTES) is not None:
                return codec, _text_begin(members.fill())[:SAMPLE_BYTES]
        found = PLAIN_RECORD.search(head)
        if found is not None:
            return None, head[found.start() + 1 :]
    _refuse(name, head)
    raise AssertionError


def _other_compression(head: bytes) -> str | None:
    return next((what for magic, what in OTHER_COMPRESSIONS.items() if head.startswith(magic)), None)


def _refuse(name: str, text: bytes) -> None:
    other = _other_compression(text)
    if other is not None:
        raise NotWetError(f"{name} is {other}, which is not read: decompress it, or compress it with gzip or zstd")
    looks = "an HTML page" if HTML.match(text) else "not a WARC file"
    raise NotWetError(
        f"{name} is {looks}: a WET file begins with 'WARC/', this one with {text[:24]!r} (byte offset 0). "
        "Give WET files (*.warc.wet.gz), a folder of them, or a listing (wet.paths.gz)"
    )


def _refuse_other_versions(name: str, text: bytes) -> None:
    if len(text) < LINE_BYTES or FIRST_LINE.match(text) or NEXT_RECORD.search(text) or PLAIN_RECORD.search(text):
        return
    line = text[:LINE_BYTES].splitlines()[0]
    raise NotWetError(
        f"{name} begins with {line!r}, which is not the version line of a WARC record (such as 'WARC/1.0', alone on "
        "its line, from version 0.17 on): convert it to WARC/1.1"
    )


def _refuse_other_kinds(name: str, text: bytes) -> None:
    kinds = {kind.lower() for kind in KIND.findall(text)}
    wat = b"metadata" in kinds and b"application/json" in text
    warc = bool(kinds & {b"request", b"response"})
    if b"conversion" not in kinds and (wat or warc):
        found = "a WAT file (metadata records in JSON)" if wat else "a WARC file of raw HTTP responses"
        raise NotWetError(
            f"{name} is {found}, not a WET file: give the file of the same name that ends in .warc.wet.gz"
        )
