"""Whether a file is WET, and how it is compressed; for everything else a sentence that says what it seems to be."""

from __future__ import annotations

import re

from conf.errors import ExplainedError
from conf.reasons import DAMAGED
from producers.wet.codec import CODECS, Codec, codec_of
from producers.wet.members import Members, Readable

VERSION = b"WARC/"
LINE_ENDS = b"\r\n"
# How far a beginning is looked for where the first bytes of a WET file are damaged.
DAMAGED_HEAD_BYTES = 1 << 20
PLAIN_RECORD = re.compile(rb"\nWARC/[0-9]\.[0-9]\r?\nWARC-[A-Z]")
HTML = re.compile(rb"\s*<(!doctype|html|\?xml)", re.IGNORECASE)
KIND = re.compile(rb"\nWARC-Type[ \t]*:[ \t]*(\w+)", re.IGNORECASE)
SAMPLE_BYTES = 1 << 16


class NotWetError(ExplainedError):
    """The file is something else than WET; the message says what it looks like and what to do."""


def recognise(file: Readable, name: str) -> Codec | None:
    """The codec of a WET file; None: it is not compressed. Raises NotWetError if it cannot be a WET file.

    A WET file whose first record is damaged is still one.
    """
    file.seek(0)
    head = file.read(SAMPLE_BYTES)
    if not head:
        raise NotWetError(f"{name} is empty (0 bytes): fetch it again")
    codec = codec_of(head)
    if codec is not None:
        text = _decoded_head(file, name, codec)
    elif head.lstrip(LINE_ENDS).startswith(VERSION):
        text = head.lstrip(LINE_ENDS)
    else:
        codec, text = _behind_damage(file, name, head)
    _refuse_other_kinds(name, text)
    return codec


def _decoded_head(file: Readable, name: str, codec: Codec) -> bytes:
    members = Members(file, codec)
    text = members.fill().lstrip(LINE_ENDS)[:SAMPLE_BYTES]
    failure = members.failure
    if not text.startswith(VERSION) and failure is not None and failure.reason == DAMAGED:
        if members.skip_damage(failure.member, DAMAGED_HEAD_BYTES) is None:
            raise NotWetError(
                f"{name}: its first {codec.name} member cannot be read ({failure.detail}, byte offset 0), and no WARC "
                "record follows it: fetch it again"
            )
        text = members.fill().lstrip(LINE_ENDS)[:SAMPLE_BYTES]
    if not text and failure is not None:
        raise NotWetError(f"{name}: {failure.detail} before its first record (byte offset 0): fetch it again")
    if not text.startswith(VERSION):
        _refuse(name, text)
    return text


def _behind_damage(file: Readable, name: str, head: bytes) -> tuple[Codec | None, bytes]:
    """The file does not begin as a WET file does: whether records follow soon all the same."""
    if not HTML.match(head):
        for codec in CODECS:
            members = Members(file, codec)
            if members.skip_damage(-1, DAMAGED_HEAD_BYTES) is not None:
                return codec, members.fill()[:SAMPLE_BYTES]
        found = PLAIN_RECORD.search(head)
        if found is not None:
            return None, head[found.start() + 1 :]
    _refuse(name, head)
    raise AssertionError


def _refuse(name: str, text: bytes) -> None:
    looks = "an HTML page" if HTML.match(text) else "not a WARC file"
    raise NotWetError(
        f"{name} is {looks}: a WET file begins with 'WARC/', this one with {text[:24]!r} (byte offset 0). "
        "Give WET files (*.warc.wet.gz), a folder of them, or a listing (wet.paths.gz)"
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
