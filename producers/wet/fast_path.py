"""The fast path through a gzip file in which each member holds exactly one well-formed record.

Common Crawl writes WET files that way, so almost every record comes by it: no window of decoded bytes, no bookkeeping
of places, half the time. It is a shortcut, not a second reader: whatever is not exactly so (damage, other members, an
unusual header) is left to `producers.wet.splitter`, which would hand out the same records.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from struct import Struct

from deflate import DeflateError, crc32, gzip_decompress

from producers.wet.digest import digest_verifies
from producers.wet.file_buffer import READ_BYTES, Readable, no_check
from producers.wet.header import CONTENT_LENGTH, FIRST_LINE, LINE_ENDS, MAX_HEADER_BYTES
from producers.wet.items import Record
from producers.wet.members import Place

BETWEEN = b"\r\n\r\n"  # between two records, as the format has it
OTHER_VERSION = b"\nWARC/"  # in a header block: perhaps another record's beginning
# A larger member may hold many records, or one without an end. Few pages are larger.
LARGE_BYTES = 1 << 20
MEMBER = re.compile(rb"\x1f\x8b\x08\x00")  # RFC 1952: a member without a name, a comment or other extra fields
TRAILER = Struct("<II")  # RFC 1952: CRC-32 and length of the decoded bytes
LEAST_BYTES = 20  # of a member: header, an empty block and trailer


class FastPath:
    """Hands out records from the member at `start` (an offset of the file) on, as long as everything is well-formed.

    Attributes:
        place: Where the splitter has to go on.
        ended: Whether the file ends there.
        consumed: Offset in the file up to which its bytes were decoded.
    """

    def __init__(
        self,
        file: Readable,
        start: int,
        max_record_bytes: int,
        *,
        verify_digests: bool,
        check: Callable[[], None] = no_check,
    ) -> None:
        self._file = file
        self._max_record_bytes = max_record_bytes
        self._verify_digests = verify_digests
        self._check = check
        file.seek(start)
        self.place, self.ended = Place(start, 0), False
        self.consumed = start

    def records(self) -> Iterator[Record]:
        """Yield the records in order."""
        for record in self._sure_records():
            yield record
            self.place = record.next

    def _sure_records(self) -> Iterator[Record]:
        # A record is handed out once the next one was seen: only then is it known what follows.
        held: Record | None = None
        for end, text in self._members():
            record = self._record(self.place if held is None else held.next, Place(end, 0), text)
            if record is None:
                return
            self.consumed = end
            if held is not None:
                yield held
            held = record
        if held is not None and self.ended:
            yield held

    def _record(self, place: Place, following: Place, text: bytearray) -> Record | None:
        """The record in the member between these places; None if it is not exactly one well-formed record."""
        header_bytes = _header_bytes(text)
        match = CONTENT_LENGTH.search(text, 0, header_bytes)
        if (
            match is None
            or match[1] is None
            or FIRST_LINE.match(text) is None
            or text.find(OTHER_VERSION, 0, header_bytes) >= 0
        ):
            return None
        length = header_bytes + int(match[1])
        if length > len(text) or length > self._max_record_bytes:
            return None
        behind = text[length:]
        if behind != BETWEEN and behind.strip(LINE_ENDS):
            return None
        raw = bytes(memoryview(text)[:length])
        if self._verify_digests and digest_verifies(raw, raw[:header_bytes]) is False:
            return None
        return Record(place, following, raw, header_bytes)

    def _members(self) -> Iterator[tuple[int, bytearray]]:
        """Yield where each member ends and its text, as long as all are small and whole."""
        offset, ahead = self.place.member, b""
        while len(ahead) < LARGE_BYTES:
            self._check()
            block = self._file.read(READ_BYTES)
            ahead += block
            # A member ends where the next one begins, or the file does; `_text` finds out whether that is so.
            bounds = [match.start() for match in MEMBER.finditer(ahead)]
            if not block:
                bounds.append(len(ahead))
            if bounds[:1] != [0]:
                return
            for begin, end in pairwise(bounds):
                text = _text(ahead, begin, end)
                if text is None:
                    return
                yield offset + end, text
            if not block:
                self.ended = True
                return
            offset, ahead = offset + bounds[-1], ahead[bounds[-1] :]


def _text(data: bytes, begin: int, end: int) -> bytearray | None:
    """The text of the member that has exactly these bytes; None if they are no whole member, or a large one."""
    if end - begin < LEAST_BYTES:
        return None
    crc, size = TRAILER.unpack_from(data, end - TRAILER.size)
    if not 0 < size <= LARGE_BYTES:
        return None
    try:
        text = gzip_decompress(memoryview(data)[begin:end], size)
    except DeflateError:
        return None
    # The decoder does not say where it found the trailer. It is this one if it holds the right checksum and length and
    # occurs only here: then nothing follows it.
    if len(text) != size or crc32(text) != crc:
        return None
    trailer = data[end - TRAILER.size : end]
    return text if data.find(trailer, begin, end) == end - TRAILER.size else None


def _header_bytes(text: bytearray) -> int:
    """Length of the header block with its empty line, as `header.HEADER_STOP` finds it; 0 if it has no end."""
    end = text.find(b"\n\r\n", 0, MAX_HEADER_BYTES)
    bare = text.find(b"\n\n", 0, end + 1 if end >= 0 else MAX_HEADER_BYTES)
    if bare >= 0:
        return bare + 2
    return end + 3 if end >= 0 else 0
