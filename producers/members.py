"""From the bytes of a WET file to its decoded bytes, with the place in the file of every one of them.

A place is `(member, inner)`: the byte offset of a gzip member in the file, and the offset of a decoded byte inside
that member. An uncompressed file has no members: there a place is `(byte offset, 0)`. Reading can begin at any
place that was handed out, so a place is all that an interrupted ingestion has to remember.
"""

from __future__ import annotations

from collections import deque
from typing import BinaryIO, NamedTuple

from isal import isal_zlib

READ_BYTES = 1 << 18
# A member's input is fed in slices: what follows its end is copied by zlib's interface, a whole buffer each time.
FEED_BYTES = 1 << 13
FILL_BYTES = 1 << 20
MAGIC_GZIP = b"\x1f\x8b\x08"
GZIP_WBITS = 31
# isal's stub declares the error class as a value.
INFLATE_ERROR: type[Exception] = isal_zlib.error  # type: ignore[assignment]


class Place(NamedTuple):
    """Where a decoded byte stands: byte offset of its member in the file, offset inside the decoded member."""

    member: int
    inner: int


BEGINNING = Place(0, 0)


class Failure(NamedTuple):
    """Why decoding stopped before the end of the file: `truncated` (the file ends in a member) or `damaged`."""

    reason: str
    member: int
    detail: str


class Members:
    """Decodes a file from a place on, about a mebibyte a call, and remembers where each byte came from.

    Damage is not raised: `fill` returns what stood before it, `failure` says what it was, and `skip_damage` looks for
    the next member that begins a WARC record.
    """

    def __init__(self, file: BinaryIO, *, gzip: bool, start: Place = BEGINNING) -> None:
        self._file = file
        self._gzip = gzip
        self._input = b""
        self._input_at = 0
        self._input_offset = 0
        self.failure: Failure | None = None
        self._restart(start)

    def _restart(self, start: Place) -> None:
        self._file.seek(start.member)
        self._input, self._input_at, self._input_offset = b"", 0, start.member
        self._decoder = isal_zlib.decompressobj(GZIP_WBITS) if self._gzip else None
        self._member = start.member
        # Where decoded members begin: (logical position, member offset, inner offset), oldest first.
        self._begins: deque[tuple[int, int, int]] = deque([(0, start.member, 0)])
        self._skip = start.inner
        if start.inner:
            self._begins[0] = (0, start.member, start.inner)
        self._decoded = 0
        self.failure = None
        self.ended = False

    def place(self, position: int) -> Place:
        """Place of the decoded byte number `position` (counted from the start place; never asked backwards)."""
        begins = self._begins
        while len(begins) > 1 and begins[1][0] <= position:
            begins.popleft()
        at, member, inner = begins[0]
        if not self._gzip:
            return Place(member + position - at, 0)
        return Place(member, inner + position - at)

    def starts_member(self, position: int) -> bool:
        """Whether a gzip member begins at `position`, or would: decoding has come to the end of one there."""
        return self._gzip and any(at == position for at, _, _ in self._begins)

    def fill(self) -> bytes:
        """The next decoded bytes; empty at the end of the file, or at a failure."""
        if self.failure is not None or self.ended:
            return b""
        return self._fill_gzip() if self._gzip else self._fill_plain()

    def _fill_plain(self) -> bytes:
        block = self._file.read(READ_BYTES)
        self.ended = not block
        self._decoded += len(block)
        return block

    def _fill_gzip(self) -> bytes:
        parts: list[bytes] = []
        size = 0
        while size < FILL_BYTES:
            if self._input_at == len(self._input):
                self._input_offset += len(self._input)
                self._input, self._input_at = self._file.read(READ_BYTES), 0
                if not self._input:
                    self._at_end_of_file()
                    break
            try:
                block = self._decode_slice()
            except INFLATE_ERROR as error:
                self.failure = Failure("damaged", self._member, str(error))
                break
            if block:
                parts.append(block)
                size += len(block)
        return b"".join(parts)

    def _decode_slice(self) -> bytes:
        decoder = self._decoder
        assert decoder is not None
        piece = self._input[self._input_at : self._input_at + FEED_BYTES]
        block = decoder.decompress(piece)
        self._input_at += len(piece) - len(decoder.unused_data)
        if self._skip:
            dropped = min(self._skip, len(block))
            block, self._skip = block[dropped:], self._skip - dropped
        self._decoded += len(block)
        if decoder.eof:
            # Noted at once, so that a record that ends here is followed by the place of the next member.
            self._member = self._input_offset + self._input_at
            self._begins.append((self._decoded, self._member, 0))
            self._decoder = isal_zlib.decompressobj(GZIP_WBITS)
        return block

    def _at_end_of_file(self) -> None:
        if self._member == self._input_offset:
            self.ended = True
        else:
            self.failure = Failure("truncated", self._member, "the file ends inside a gzip member")

    def skip_damage(self, beyond: int) -> int | None:
        """Go on at the next member after file offset `beyond` that begins a WARC record; None: there is none.

        Decoded positions count from 0 again afterwards. Returns the member's offset in the file.
        """
        offset, tail = beyond + 1, b""
        self._file.seek(offset)
        while block := self._file.read(READ_BYTES):
            window = tail + block
            begin = offset - len(tail)
            at = window.find(MAGIC_GZIP)
            while at >= 0:
                if self._begins_record(begin + at):
                    self._restart(Place(begin + at, 0))
                    return begin + at
                at = window.find(MAGIC_GZIP, at + 1)
            offset += len(block)
            tail = window[-(len(MAGIC_GZIP) - 1) :]
            self._file.seek(offset)
        self.ended = True
        self.failure = None
        return None

    def _begins_record(self, offset: int) -> bool:
        self._file.seek(offset)
        try:
            head = isal_zlib.decompressobj(GZIP_WBITS).decompress(self._file.read(FEED_BYTES), 16)
        except INFLATE_ERROR:
            return False
        return head.lstrip(b"\r\n").startswith(b"WARC/")
