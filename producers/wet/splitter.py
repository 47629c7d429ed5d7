"""The rules by which decoded bytes are cut into records.

Rules of the format: WARC/1.1, ISO 28500:2017, section 4 (a record is a header block, an empty line, `Content-Length`
bytes, and two line ends). Taken more leniently, as real files need it: bare LF for CRLF, no empty lines between
records, WARC/1.0 and 1.1 alike.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from conf.reasons import DAMAGED, OVERSIZE, TRUNCATED
from producers.wet.digest import digest_verifies
from producers.wet.items import Record, Stub
from producers.wet.members import Members, Place, Readable
from producers.wet.recognise import LINE_ENDS, VERSION

MAX_HEADER_BYTES = 1 << 18
FIRST_LINE = re.compile(rb"WARC/[0-9]\.[0-9][ \t]*\r?\n")
HEADER_END = re.compile(rb"\r?\n\r?\n")
CONTENT_LENGTH = re.compile(rb"\ncontent-length[ \t]*:[ \t]*(\d{1,18})[ \t]*\r?(?:\n|$)", re.IGNORECASE)
NEXT_RECORD = re.compile(rb"\nWARC/[0-9]\.[0-9]\r?\n[A-Za-z]")
# More than a match of NEXT_RECORD can be long: kept when the window moves on.
OVERLAP = 16
OVERRUN = "Content-Length leads over the beginning of another record"


class Splitter:
    """A window of decoded bytes that moves over the source; `items` cuts it into records and stubs.

    A record is handed out as whole when its extent is: it begins with the version, its header has an end and a length,
    and behind that length a record, a member or the end follows. Its bytes are then vouched for by the checksum of a
    gzip member of its own, or, where it shares one that may turn out damaged later, by its own digest.
    """

    def __init__(self, members: Members, file: Readable, max_record_bytes: int, *, verify_digests: bool) -> None:
        self._members = members
        self._file = file
        self._max_record_bytes = max_record_bytes
        self._verify_digests = verify_digests
        self._window = b""
        self._at = 0
        self._base = 0

    def items(self) -> Iterator[Record | Stub]:
        """All items from here on."""
        while True:
            if self._skip_line_ends():
                item = self._next_item()
            elif self._members.failure is not None:
                item = self._failed(self._place(), b"")
            else:
                return
            yield item
            if item.next == item.place:
                return

    def _next_item(self) -> Record | Stub:
        begin = self._place()
        if not self._need(len(VERSION)) and VERSION.startswith(self._window[self._at :]):
            return self._cut(begin, b"", "the file ends inside a record header")
        if not self._window.startswith(VERSION, self._at):
            return self._damaged(begin, b"", "no record begins here")
        header_end = self._find_header_end()
        if header_end is None:
            return self._cut(begin, b"", "the file ends inside a record header")
        if header_end < 0:
            return self._damaged(begin, b"", "a record header without an end")
        header = self._window[self._at : header_end]
        if FIRST_LINE.match(header) is None or self._next_start(self._at + len(VERSION), header_end) is not None:
            return self._damaged(begin, b"", "a record header that breaks off")
        match = CONTENT_LENGTH.search(header)
        if match is None:
            return self._damaged(begin, header, "a record header without a valid Content-Length")
        length = len(header) + int(match[1])
        if length > self._max_record_bytes:
            return self._oversize(begin, header, length)
        if not self._need(length):
            return self._cut(begin, header, f"the file ends inside a record of {length:,} bytes")
        ends = self._ends_at(length)
        raw = self._window[self._at : self._at + length]
        # What follows may be damaged; a block with the right digest is whole all the same.
        if not ends and not digest_verifies(raw, len(header)):
            return self._damaged(begin, header, "Content-Length does not lead to the end of the record")
        return self._whole(begin, raw, header)

    def _whole(self, begin: Place, raw: bytes, header: bytes) -> Record | Stub:
        """A record by its extent; whether its bytes are right as well."""
        length = len(raw)
        end = self._base + self._at + length
        self._at += length
        more = self._skip_line_ends()
        after = self._place()
        codec, salvaged_at = self._members.codec, self._members.salvaged_at
        in_damage = salvaged_at is not None and after.member == begin.member
        if in_damage and begin.inner == 0 and not more:
            # It seems to have this member for itself, so the damage is in it, and its header has no digest.
            return self._failed(begin, header)
        own_member = codec is not None and codec.checked and begin.inner == 0 and after.member != begin.member
        if self._verify_digests or not (own_member or codec is None):
            verifies = digest_verifies(raw, len(header))
            if verifies is False:
                return Stub(begin, after, length, DAMAGED, "digest", header)
            if verifies is None and in_damage and salvaged_at is not None and end > salvaged_at:
                # Nothing vouches for it: decoded in the last step before the decoder gave up.
                return self._failed(begin, header)
        return Record(begin, after, raw, len(header))

    def _find_header_end(self) -> int | None:
        """Index behind the empty line; -1: there is none within bounds; None: the input ends before."""
        searched = self._at
        while True:
            match = HEADER_END.search(self._window, searched)
            if match is not None:
                return match.end()
            if len(self._window) - self._at > MAX_HEADER_BYTES:
                return -1
            # Counted from the beginning of the record: the window moves.
            searched = max(0, len(self._window) - self._at - 3)
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

    def _cut(self, begin: Place, header: bytes, detail: str) -> Stub:
        """The input, or what can be decoded of it, ends inside a record."""
        if self._next_start(self._at + len(VERSION)) is not None:
            return self._damaged(begin, header, OVERRUN)
        if self._members.failure is not None:
            return self._failed(begin, header)
        length = len(self._window) - self._at
        self._at = len(self._window)
        if self._members.starts_member(self._base + self._at):
            # The members are whole, so it is the record that promises more than there is: nothing will come.
            return Stub(begin, self._place(), length, DAMAGED, detail, header)
        return Stub(begin, begin, length, TRUNCATED, detail, header)

    def _damaged(self, begin: Place, header: bytes, detail: str) -> Stub:
        """Skip to the next place that looks like a record."""
        first = self._base + self._at
        found = self._scan(first + 1, None)
        if not found and self._members.failure is not None:
            return self._failed(begin, header)
        return Stub(begin, self._place(), self._base + self._at - first, DAMAGED, detail, header)

    def _oversize(self, begin: Place, header: bytes, length: int) -> Stub:
        """Step over a record that is too long to be sent; if only its length is damaged, to the next record."""
        first = self._base + self._at
        if self._scan(first + 1, first + length):
            return Stub(begin, self._place(), self._base + self._at - first, DAMAGED, OVERRUN, header)
        passed = self._base + self._at - first
        detail = f"a record of {length:,} bytes; the limit is {self._max_record_bytes:,}"
        if passed == length:
            self._skip_line_ends()
            return Stub(begin, self._place(), length, OVERSIZE, detail, header)
        if self._members.failure is not None:
            return self._failed(begin, header)
        detail = "the file ends inside " + detail
        if self._members.starts_member(self._base + self._at):
            return Stub(begin, self._place(), passed, DAMAGED, detail, header)
        return Stub(begin, begin, passed, TRUNCATED, detail, header)

    def _scan(self, position: int, limit: int | None) -> bool:
        """Move to the next beginning of a record at `position` or behind it; True: it stands there now.

        False: there is none before `limit` (it stands there now), or none at all (it stands at the end of what can be
        decoded). The window never holds more than a fill and a few bytes.
        """
        while True:
            found = self._next_start(max(position - self._base, self._at))
            if found is not None and (limit is None or self._base + found < limit):
                self._at = found
                return True
            end = self._base + len(self._window)
            if limit is not None and end >= limit + OVERLAP:
                self._at = limit - self._base
                return False
            self._at = max(self._at, len(self._window) - OVERLAP)
            if limit is not None:
                self._at = min(self._at, max(limit - self._base, 0))
            if not self._more():
                self._at = len(self._window) if limit is None else min(len(self._window), limit - self._base)
                return False

    def _next_start(self, searched: int, end: int | None = None) -> int | None:
        """Index in the window, from `searched` on (and before `end`), of the next beginning of a record.

        A record that begins a member needs no line end before it: the text before may have lost its own.
        """
        end = len(self._window) if end is None else end
        match = NEXT_RECORD.search(self._window, max(searched - 1, self._at), end)
        found = None if match is None else match.start() + 1
        for position in self._members.begins_after(self._base + searched):
            at = position - self._base
            if at >= (end if found is None else found):
                break
            if self._window.startswith(VERSION, at):
                return at
        return found

    def _failed(self, begin: Place, header: bytes) -> Stub:
        """The decoder gave up in the item that begins at `begin`: a stub up to the next member that can be read."""
        failure = self._members.failure
        assert failure is not None
        size = self._file.seek(0, 2)
        found = self._members.skip_damage(failure.member)
        self._window, self._at, self._base = b"", 0, 0
        if failure.reason == TRUNCATED and found is None:
            return Stub(begin, begin, size - begin.member, TRUNCATED, failure.detail, header)
        # (A member that ran on to the end of the file over others that can be read is not cut but damaged.)
        end = size if found is None else found
        return Stub(begin, Place(end, 0), end - begin.member, DAMAGED, failure.detail, header)

    def _place(self) -> Place:
        return self._members.place(self._base + self._at)

    def _skip_line_ends(self) -> bool:
        """Step over the line ends between records; False at the end of the input (or of what can be decoded)."""
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
