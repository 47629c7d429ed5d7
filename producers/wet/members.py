"""From the bytes of a WET file to its decoded bytes, with the place in the file of every one of them.

A place is `(member, inner)`: the byte offset of a gzip member (zstd frame) in the file, and the offset of a decoded
byte inside that member. An uncompressed file has no members: there a place is `(byte offset, 0)`. Reading can begin at
any place that was handed out, so a place is all that an interrupted ingestion has to remember.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple, Protocol

from conf.reasons import DAMAGED, TRUNCATED
from producers.wet.codec import Codec

READ_BYTES = 1 << 18
FILL_BYTES = 1 << 20
# Enough of a member to see how its text begins: a block of zstd comes out when all of it is in.
HEAD_BYTES = 1 << 17


class Readable(Protocol):
    """What is needed of a source's file, local or remote."""

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes; none only at the end."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go to a byte offset (or, with whence 2, to one counted from the end); returns it."""


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

    Damage is not raised: `fill` returns all that the decoder can give before it, `failure` says what it was, and
    `skip_damage` looks for the next member that begins a WARC record. `salvaged_at` is the position from which on
    decoded bytes stand so near to the damage that they may be wrong.
    """

    def __init__(self, file: Readable, codec: Codec | None, start: Place = BEGINNING) -> None:
        self._file = file
        self.codec = codec
        self._restart(start)

    def _restart(self, start: Place) -> None:
        self._file.seek(start.member)
        self._input, self._input_at, self._input_offset = b"", 0, start.member
        self._decoder = None if self.codec is None else self.codec.make()
        self._member = start.member
        # Where decoded members begin: (decoded position, member offset, inner offset), oldest first.
        self._begins: deque[tuple[int, int, int]] = deque([(0, start.member, start.inner)])
        self._skip = start.inner
        self._decoded = 0
        self.failure: Failure | None = None
        self.salvaged_at: int | None = None
        self.ended = False

    @property
    def consumed(self) -> int:
        """Offset in the file up to which its bytes were decoded."""
        return self._input_offset + self._input_at

    def place(self, position: int) -> Place:
        """Place of the decoded byte number `position` (counted from the start place; never asked backwards)."""
        begins = self._begins
        while len(begins) > 1 and begins[1][0] <= position:
            begins.popleft()
        at, member, inner = begins[0]
        if self.codec is None:
            return Place(member + position - at, 0)
        return Place(member, inner + position - at)

    def starts_member(self, position: int) -> bool:
        """Whether a member begins at `position`, or would: decoding has come to the end of one there."""
        return self.codec is not None and any(at == position for at, _, _ in self._begins)

    def begins_after(self, position: int) -> list[int]:
        """Positions from `position` on at which a member begins, of what is decoded, in order."""
        if self.codec is None:
            return []
        found: list[int] = []
        for at, _, inner in reversed(self._begins):
            if at < position:
                break
            if not inner:
                found.append(at)
        return found[::-1]

    def fill(self) -> bytes:
        """The next decoded bytes; empty at the end of the file, or at a failure."""
        if self.failure is not None or self.ended:
            return b""
        return self._fill_plain() if self.codec is None else self._fill_decoded(self.codec)

    def _fill_plain(self) -> bytes:
        block = self._file.read(READ_BYTES)
        self.ended = not block
        self._decoded += len(block)
        self._input_offset += len(block)
        return block

    def _fill_decoded(self, codec: Codec) -> bytes:
        parts: list[bytes] = []
        size = 0
        while size < FILL_BYTES:
            if self._input_at == len(self._input):
                self._input_offset += len(self._input)
                self._input, self._input_at = self._file.read(READ_BYTES), 0
                if not self._input:
                    self._at_end_of_file(codec)
                    break
            try:
                block = self._decode_slice(codec)
            except codec.errors as error:
                self.failure = Failure(DAMAGED, self._member, f"{codec.name}: {error}")
                self.salvaged_at = self._decoded
                parts.append(self._note(self._salvage(codec)))
                break
            if block:
                parts.append(block)
                size += len(block)
        return b"".join(parts)

    def _decode_slice(self, codec: Codec) -> bytes:
        decoder = self._decoder
        assert decoder is not None
        piece = self._input[self._input_at : self._input_at + codec.feed_bytes]
        block = self._note(decoder.decompress(piece))
        self._input_at += len(piece)
        if decoder.eof:
            self._input_at -= len(decoder.unused_data)
            # Noted at once, so that a record that ends here is followed by the place of the next member.
            self._member = self.consumed
            self._begins.append((self._decoded, self._member, 0))
            self._decoder = codec.make()
        return block

    def _note(self, block: bytes) -> bytes:
        """Count decoded bytes; those before the start place are dropped."""
        if self._skip:
            dropped = min(self._skip, len(block))
            block, self._skip = block[dropped:], self._skip - dropped
        self._decoded += len(block)
        return block

    def _salvage(self, codec: Codec) -> bytes:
        """What the slice that failed holds before the byte at which the decoder gave up.

        The decoder keeps it back with its error, so the member is decoded once more, that slice byte for byte.
        """
        slice_at = self.consumed
        last = self._input[self._input_at : self._input_at + codec.feed_bytes]
        decoder = codec.make()
        parts = []
        try:
            self._file.seek(self._member)
            left = slice_at - self._member
            while left > 0:
                block = self._file.read(min(left, READ_BYTES))
                if not block:
                    return b""  # the file has become shorter meanwhile
                left -= len(block)
                for at in range(0, len(block), codec.feed_bytes):
                    decoder.decompress(block[at : at + codec.feed_bytes])
            for byte in last:
                parts.append(decoder.decompress(bytes((byte,))))  # noqa: PERF401  # an error ends it half-way
        except codec.errors:
            pass
        return b"".join(parts)

    def _at_end_of_file(self, codec: Codec) -> None:
        if self._member == self._input_offset:
            self.ended = True
        else:
            self.failure = Failure(TRUNCATED, self._member, f"the file ends inside a {codec.name} member")

    def skip_damage(self, beyond: int, limit: int | None = None) -> int | None:
        """Go on at the next member after file offset `beyond` that begins a WARC record; None: there is none.

        Decoded positions count from 0 again afterwards. Returns the member's offset in the file. `limit`: how many
        bytes to look at.
        """
        codec = self.codec
        assert codec is not None
        offset, tail = beyond + 1, b""
        stop = None if limit is None else offset + limit
        self._file.seek(offset)
        while (block := self._file.read(READ_BYTES)) and (stop is None or offset < stop):
            window = tail + block
            begin = offset - len(tail)
            offset += len(block)
            for match in codec.magic.finditer(window):
                if self._begins_record(codec, begin + match.start()):
                    self._restart(Place(begin + match.start(), 0))
                    return begin + match.start()
            tail = window[-(codec.magic_bytes - 1) :]
            self._file.seek(offset)
        self.ended = True
        self.failure = None
        return None

    def _begins_record(self, codec: Codec, offset: int) -> bool:
        """Whether a member begins at this offset of the file whose text begins as a record does."""
        self._file.seek(offset)
        begin = self._file.read(HEAD_BYTES)
        # Once more byte for byte when it fails: the member may be damaged further on.
        for step in (codec.feed_bytes, 1):
            decoder, text, at = codec.make(), b"", 0
            try:
                while at < len(begin) and len(text) < 16 and not decoder.eof:
                    text += decoder.decompress(begin[at : at + step]).lstrip(b"\r\n")
                    at += step
            except codec.errors:
                pass
            if text.startswith(b"WARC/"):
                return True
        return False
