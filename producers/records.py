"""From decoded WET bytes to records: each as it stood, or a stub that says what could not be read.

Nothing is lost silently: every byte of a source belongs to a record that is handed out, to the white space between
two records, or to a stub with its place, its length and its reason.

Rules of the format: WARC/1.1, ISO 28500:2017, section 4 (a record is a header block, an empty line, `Content-Length`
bytes, and two line ends). Taken more leniently, as real files need it: bare LF for CRLF, no empty lines between
records, WARC/1.0 and 1.1 alike.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from producers.members import BEGINNING, MAGIC_GZIP, Members, Place

MAX_HEADER_BYTES = 1 << 18
LINE_ENDS = b"\r\n"
VERSION = b"WARC/"
HEADER_END = re.compile(rb"\r?\n\r?\n")
CONTENT_LENGTH = re.compile(rb"\ncontent-length[ \t]*:[ \t]*(\d{1,18})[ \t]*\r?(?:\n|$)", re.IGNORECASE)
NEXT_RECORD = re.compile(rb"\nWARC/[0-9]\.[0-9]\r?\n")


class NotWetError(Exception):
    """The file is something else than WET; the message says what it looks like and what to do."""


@dataclass(slots=True, frozen=True)
class Record:
    """A whole record as it stood in the file, without the line ends behind it."""

    place: Place
    next: Place
    raw: bytes
    header_bytes: int


@dataclass(slots=True, frozen=True)
class Stub:
    """In place of something that cannot be sent: where, how many bytes, why, and the header block if there is one.

    `length` counts bytes of the file for a damaged gzip member, decoded bytes otherwise.
    """

    place: Place
    next: Place
    length: int
    reason: str
    detail: str
    header: bytes


def read_records(path: Path, *, start: Place = BEGINNING, max_record_bytes: int = 1 << 24) -> Iterator[Record | Stub]:
    """All records of a WET file from `start` on, in order, each once.

    `start` is (0, 0) or the `next` of an item that was handed out before. Raises NotWetError when the file is no WET
    file, OSError when it cannot be read. A file that is cut ends with a Stub with reason `truncated`, whose `next` is
    its own place: when the file has grown, reading goes on there.
    """
    with path.open("rb") as file:
        compressed = check_wet(path, file)
        yield from _Splitter(Members(file, gzip=compressed, start=start), file, max_record_bytes).items()


def check_wet(path: Path, file: BinaryIO) -> bool:
    """Whether the file is gzip (else plain). Raises NotWetError if it cannot be a WET file."""
    file.seek(0)
    head = file.read(len(VERSION))
    if not head:
        raise NotWetError(f"{path} is empty (0 bytes): fetch it again")
    compressed = head.startswith(MAGIC_GZIP)
    members = Members(file, gzip=compressed)
    text = members.fill().lstrip(LINE_ENDS)[: 1 << 16]
    if not text and members.failure:
        raise NotWetError(
            f"{path}: its first gzip member cannot be read ({members.failure.detail}, byte offset 0): fetch it again"
        )
    if not text.startswith(VERSION):
        looks = "an HTML page" if re.match(rb"\s*<(!doctype|html|\?xml)", text, re.I) else "not a WARC file"
        raise NotWetError(
            f"{path} is {looks}: a WET file begins with 'WARC/', this one with {text[:24]!r} (byte offset 0). "
            "Give WET files (*.warc.wet.gz) or a folder of them"
        )
    kinds = {kind.lower() for kind in re.findall(rb"(?i)\nWARC-Type[ \t]*:[ \t]*(\w+)", text)}
    wat = b"metadata" in kinds and b"application/json" in text
    warc = bool(kinds & {b"request", b"response"})
    if b"conversion" not in kinds and (wat or warc):
        found = "a WAT file (metadata records in JSON)" if wat else "a WARC file of raw HTTP responses"
        raise NotWetError(
            f"{path} is {found}, not a WET file: give the file of the same name that ends in .warc.wet.gz"
        )
    return compressed


class _Splitter:
    """The window of decoded bytes that moves over the source, and the rules by which it is cut into records."""

    def __init__(self, members: Members, file: BinaryIO, max_record_bytes: int) -> None:
        self._members = members
        self._file = file
        self._max_record_bytes = max_record_bytes
        self._window = b""
        self._at = 0
        self._base = 0

    def items(self) -> Iterator[Record | Stub]:
        while True:
            yield from self._until_failure()
            failure = self._members.failure
            if failure is None:
                return
            stub = self._after_failure(failure.reason, failure.member, failure.detail)
            yield stub
            if stub.next == stub.place:
                return

    def _until_failure(self) -> Iterator[Record | Stub]:
        while self._skip_line_ends():
            item = self._next_item()
            if item is None:
                return
            yield item

    def _next_item(self) -> Record | Stub | None:
        """The item that begins here; None: decoding failed inside it, and the bytes up to there stay in the window."""
        begin = self._place()
        if not self._need(len(VERSION)) and self._members.failure:
            return None
        if not self._window.startswith(VERSION, self._at):
            return self._damaged(begin, b"", "no record begins here", 0)
        header_end = self._find_header_end()
        if header_end is None:
            return self._cut(begin, b"", "the file ends inside a record header")
        if header_end < 0:
            return self._damaged(begin, b"", "a record header without an end", len(VERSION))
        header_bytes = header_end - self._at
        header = self._window[self._at : header_end]
        match = CONTENT_LENGTH.search(header)
        if match is None:
            return self._damaged(begin, header, "a record header without a valid Content-Length", header_bytes)
        length = header_bytes + int(match[1])
        if length > self._max_record_bytes:
            return self._oversize(begin, header, length)
        if not self._need(length):
            if self._members.failure:
                return None
            return self._cut(begin, header, f"the file ends inside a record of {length:,} bytes")
        if not self._ends_at(length):
            return self._damaged(begin, header, "Content-Length does not lead to the end of the record", header_bytes)
        raw = self._window[self._at : self._at + length]
        self._at += length
        self._skip_line_ends()
        return Record(begin, self._place(), raw, header_bytes)

    def _find_header_end(self) -> int | None:
        """Index behind the empty line; -1: there is none within bounds; None: the input ends before."""
        searched = self._at
        while True:
            match = HEADER_END.search(self._window, searched)
            if match is not None:
                return match.end()
            if len(self._window) - self._at > MAX_HEADER_BYTES:
                return -1
            searched = max(self._at, len(self._window) - 3)
            searched -= self._at
            if not self._more():
                return None
            searched += self._at

    def _ends_at(self, length: int) -> bool:
        """Whether what follows `length` bytes is the end of a record: line ends, then a record, a member or the end."""
        self._need(length + 4 + len(VERSION))
        behind = self._window[self._at + length : self._at + length + 4 + len(VERSION)]
        rest = behind.lstrip(LINE_ENDS)
        if not rest or VERSION.startswith(rest[: len(VERSION)]) or rest.startswith(VERSION):
            return True
        return self._members.starts_member(self._base + self._at + length + len(behind) - len(rest))

    def _cut(self, begin: Place, header: bytes, detail: str) -> Stub | None:
        """The input ends inside a record."""
        if self._members.failure:
            return None
        length = len(self._window) - self._at
        if self._members.starts_member(self._base + len(self._window)):
            # The gzip members are whole, so it is the record that promises more than there is: nothing will come.
            return self._damaged(begin, header, detail, max(len(header), 1))
        self._at = len(self._window)
        return Stub(begin, begin, length, "truncated", detail, header)

    def _damaged(self, begin: Place, header: bytes, detail: str, skip: int) -> Stub | None:
        """Skip to the next place that looks like a record, at least `skip` bytes on."""
        first = self._base + self._at
        searched = self._at + max(skip - 1, 0)
        while True:
            found = self._next_start(searched)
            if found is not None:
                self._at = found
                return Stub(begin, self._place(), self._base + found - first, "damaged", detail, header)
            keep = 16
            self._at = max(searched, len(self._window) - keep)
            if not self._more():
                if self._members.failure is None:
                    self._at = len(self._window)
                return Stub(begin, self._place(), self._base + self._at - first, "damaged", detail, header)
            searched = self._at

    def _next_start(self, searched: int) -> int | None:
        match = NEXT_RECORD.search(self._window, searched)
        return None if match is None else match.start() + 1

    def _oversize(self, begin: Place, header: bytes, length: int) -> Stub | None:
        detail = f"a record of {length:,} bytes; the limit is {self._max_record_bytes:,}"
        left = length
        while left > len(self._window) - self._at:
            left -= len(self._window) - self._at
            self._at = len(self._window)
            if not self._more():
                if self._members.failure:
                    return Stub(begin, self._place(), length - left, "oversize", detail, header)
                return Stub(begin, begin, length - left, "truncated", "the file ends inside " + detail, header)
        self._at += left
        self._skip_line_ends()
        return Stub(begin, self._place(), length, "oversize", detail, header)

    def _after_failure(self, reason: str, member: int, detail: str) -> Stub:
        place = self._place()
        header = self._window[self._at :]
        match = HEADER_END.search(header)
        header = header[: match.end()] if match and header.startswith(VERSION) else b""
        size = self._file.seek(0, 2)
        if reason == "truncated":
            return Stub(place, place, size - place.member, reason, detail, header)
        begin = self._members.skip_damage(member)
        self._window, self._at, self._base = b"", 0, 0
        end = size if begin is None else begin
        return Stub(place, Place(end, 0), end - place.member, reason, detail, header)

    def _place(self) -> Place:
        return self._members.place(self._base + self._at)

    def _skip_line_ends(self) -> bool:
        """Step over the line ends between records; False at the end of the input (or at a failure with nothing left)."""
        while True:
            window, at = self._window, self._at
            while at < len(window) and window[at] in LINE_ENDS:
                at += 1
            self._at = at
            if at < len(window):
                return True
            if not self._more():
                return False

    def _need(self, count: int) -> bool:
        while len(self._window) - self._at < count:
            if not self._more():
                return False
        return True

    def _more(self) -> bool:
        block = self._members.fill()
        if not block:
            return False
        self._base += self._at
        self._window = self._window[self._at :] + block
        self._at = 0
        return True
