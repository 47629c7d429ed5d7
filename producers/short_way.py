"""The short way through a gzip file that is as it should be: a member holds exactly one well-formed record.

That is how Common Crawl writes WET files, so it is what almost every record comes by: no window of decoded bytes, no
bookkeeping of places, half the time. Whatever is not exactly so (damage, other members, an odd header) is left to
`producers.splitter`, which knows all cases; this file only knows when it is not needed. Both give the same items.
"""

from __future__ import annotations

from collections.abc import Iterator

from producers.codec import GZIP
from producers.digest import digest_verifies
from producers.items import Record
from producers.members import READ_BYTES, Place, Readable
from producers.recognise import LINE_ENDS
from producers.splitter import CONTENT_LENGTH, FIRST_LINE, MAX_HEADER_BYTES

OTHER_VERSION = b"\nWARC/"  # in a header block: perhaps another record's beginning
# A member that is larger than this may be many records, or one without an end. Few pages are.
LARGE_BYTES = 1 << 20


class ShortWay:
    """Hands out records from the member at `start` (an offset of the file) on, as long as all is as it should be.

    Afterwards `place` is where the splitter has to go on, and `ended` whether nothing is left.
    """

    def __init__(self, file: Readable, start: int, max_record_bytes: int, *, verify_digests: bool) -> None:
        self._file = file
        self._max_record_bytes = max_record_bytes
        self._verify_digests = verify_digests
        file.seek(start)
        self._input, self._input_at, self._input_offset = b"", 0, start
        self.place, self.ended = Place(start, 0), False

    @property
    def consumed(self) -> int:
        """Offset in the file up to which its bytes were decoded."""
        return self._input_offset + self._input_at

    def records(self) -> Iterator[Record]:
        """The records, in order."""
        # A record is handed out when the one behind it was seen: only then is it known where that begins.
        record = self._next()
        while record is not None:
            raw, header_bytes = record
            following = Place(self.consumed, 0)
            record = self._next()
            if record is None and not self.ended:
                return
            yield Record(self.place, following, raw, header_bytes)
            self.place = following

    def _next(self) -> tuple[bytes, int] | None:
        """The record of the next member and the length of its header; None: none, or it needs a closer look."""
        try:
            text = self._member()
        except GZIP.errors:
            return None
        header_bytes = _header_bytes(text)
        header = text[:header_bytes]
        match = CONTENT_LENGTH.search(header)
        if match is None or FIRST_LINE.match(header) is None or header.find(OTHER_VERSION) >= 0:
            return None
        length = header_bytes + int(match[1])
        if not header_bytes or length > self._max_record_bytes or text[length:].strip(LINE_ENDS):
            return None
        raw = text[:length]
        if len(raw) < length or (self._verify_digests and digest_verifies(raw, header_bytes) is False):
            return None
        return raw, header_bytes

    def _member(self) -> bytes:
        """The next member's bytes; none where the file ends, or the member is so large that it needs a closer look."""
        decoder, size = GZIP.make(), 0
        parts: list[bytes] = []
        while size <= LARGE_BYTES:
            if self._input_at >= len(self._input):
                self._input_offset += len(self._input)
                self._input, self._input_at = self._file.read(READ_BYTES), 0
                if not self._input:
                    self.ended = not parts
                    return b""
            piece = self._input[self._input_at : self._input_at + GZIP.feed_bytes]
            block = decoder.decompress(piece)
            self._input_at += len(piece)
            if decoder.eof:
                self._input_at -= len(decoder.unused_data)
                return b"".join([*parts, block]) if parts else block
            parts.append(block)
            size += len(block)
        return b""


def _header_bytes(text: bytes) -> int:
    """Length of the header block with its empty line, as `splitter.HEADER_END` finds it; 0: none within bounds."""
    end = text.find(b"\n\r\n", 0, MAX_HEADER_BYTES)
    bare = text.find(b"\n\n", 0, end + 1 if end >= 0 else MAX_HEADER_BYTES)
    if bare >= 0:
        return bare + 2
    return end + 3 if end >= 0 else 0
