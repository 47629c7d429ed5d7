"""From the bytes of a WET file to its decoded bytes, with the place in the file of every one of them.

A place is `(member, inner)`: the byte offset of a gzip member (zstd frame) in the file, and the offset of a decoded
byte inside that member. An uncompressed file has no members; there a place is `(byte offset, 0)`. Reading can resume at
any place that was handed out, so a place is all that an interrupted ingestion has to remember.

Padding between members and after the last one (zeros, line ends, blanks) is skipped, as gzip does with zeros. It is
part of the place of what follows.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from typing import NamedTuple

from conf.reasons import DAMAGED, TRUNCATED
from producers.wet.codec import Codec
from producers.wet.file_buffer import READ_BYTES, FileBuffer, Readable, no_check
from producers.wet.probe import begins_record
from producers.wet.zstd_frames import EnclosingFrame

FILL_BYTES = 1 << 20
PADDING = b"\0\r\n \t"
# Positions that are no longer asked for are forgotten so many at a time.
FORGET = 1 << 12
SALVAGE_BYTES = 1 << 8
# The first slice of a member is small: it may be all of it, and what is behind is copied in vain.
FIRST_BYTES = 1 << 10
# Bytes of a member that tell it from a copy of another one inside a text.
SIGNATURE_BYTES = 24
# How much may be spent on candidates for each byte passed.
PROBES_PER_BYTE = 16
HEADER_BYTES = 16  # what following one header of a zstd block costs
LEAST_REPEAT_BYTES = 1 << 16
# How far into a zstd frame its structure is followed when it fails.
FRAME_BYTES = 1 << 20


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
    """Decodes a file from a place on, about a mebibyte a call, and knows the place of each decoded byte.

    Damage is not raised: `fill` returns everything that the decoder can give before it, `failure` says what it was, and
    `skip_damage` looks for the next member that begins a WARC record. Decoded bytes from position `salvaged_at` on are
    so near to the damage that they may be wrong. `member_at` is the position at which the current member begins.

    Work is linear in the size of the file, whatever is in it. Every byte is decoded once, a damaged member three times.
    Going back from damage to a member that the decoder had run over is limited by `skip_damage`.
    """

    def __init__(
        self,
        file: Readable,
        codec: Codec | None,
        start: Place = BEGINNING,
        *,
        check: Callable[[], None] = no_check,
    ) -> None:
        self._buffer = FileBuffer(file, check)
        self.codec = codec
        self._restart(start)

    def _restart(self, start: Place) -> None:
        self._offset = start.member
        self._decoder = None if self.codec is None else self.codec.make()
        self._member = start.member
        self.member_at = 0
        self._fresh = True  # nothing of the current member was decoded yet
        # Where members begin, and where slices of input do: decoded positions in order, and what is there.
        self._begin_positions, self._begins = [0], [start]
        self._slice_positions, self._slice_offsets = [0], [start.member]
        self._skip = start.inner
        self._decoded = 0
        self.failure: Failure | None = None
        self.salvaged_at: int | None = None
        self.ended = False

    @property
    def consumed(self) -> int:
        """Offset in the file up to which its bytes were decoded."""
        return self._offset

    def size(self) -> int:
        """Return the size of the file in bytes."""
        return self._buffer.size()

    def place(self, position: int) -> Place:
        """Return the place of the decoded byte number `position`, counted from the start place."""
        if self.codec is None:
            return Place(self._begins[0].member + position, 0)
        number = bisect_right(self._begin_positions, position) - 1
        member, inner = self._begins[number]
        return Place(member, inner + position - self._begin_positions[number])

    def starts_member(self, position: int) -> bool:
        """Whether a member begins at `position`, or would: decoding has come to the end of one there."""
        if self.codec is None:
            return False
        number = bisect_left(self._begin_positions, position)
        return number < len(self._begins) and self._begin_positions[number] == position

    def begins_between(self, position: int, end: int) -> list[int]:
        """Return the positions in [position, end) at which a member begins, of what is decoded, in order."""
        if self.codec is None:
            return []
        first = bisect_left(self._begin_positions, position)
        found = self._begin_positions[first : bisect_left(self._begin_positions, end)]
        return found[1:] if found and first == 0 and self._begins[0].inner else found

    def forget(self, position: int) -> None:
        """Nothing before `position` will be asked for."""
        for positions, values in (
            (self._begin_positions, self._begins),
            (self._slice_positions, self._slice_offsets),
        ):
            done = bisect_right(positions, position) - 1
            if done >= FORGET and self.codec is not None:
                del positions[:done], values[:done]

    def fill(self) -> bytes:
        """Return the next decoded bytes; none at the end of the file, or at a failure."""
        if self.failure is not None or self.ended:
            return b""
        return self._fill_plain() if self.codec is None else self._fill_decoded(self.codec)

    def _fill_plain(self) -> bytes:
        block = self._buffer.read(self._offset, READ_BYTES)
        self.ended = not block
        self._decoded += len(block)
        self._offset += len(block)
        return block

    def _fill_decoded(self, codec: Codec) -> bytes:
        self._buffer.check()
        parts: list[bytes] = []
        size = 0
        while size < FILL_BYTES:
            piece = self._buffer.read(self._offset, FIRST_BYTES if self._fresh else codec.feed_bytes)
            if self._fresh and piece:
                piece = self._skip_padding(piece, codec)
                if self.failure is not None:
                    break
                if not piece:
                    continue
            if not piece:
                self._at_end_of_file(codec)
                break
            try:
                block = self._decode_slice(piece, codec)
            except codec.errors as error:
                self.failure = Failure(DAMAGED, self._member, f"{codec.name}: {error}")
                self.salvaged_at = self._decoded
                parts.append(self._note(self._salvage(piece, codec)))
                break
            if block:
                parts.append(block)
                size += len(block)
        return b"".join(parts)

    def _skip_padding(self, piece: bytes, codec: Codec) -> bytes:
        """Step over padding before a member; what is left of `piece` begins the member, or is no member at all."""
        left = piece.lstrip(PADDING)
        if len(left) < len(piece):
            # The place of what follows is that of the padding: it does not depend on how much of it was there.
            self._offset += len(piece) - len(left)
            self._member = self._offset
            return b""
        if not codec.may_begin(left):
            self.failure = Failure(DAMAGED, self._member, f"no {codec.name} member begins here")
            self.salvaged_at = self._decoded
        return left

    def _begin_member(self) -> None:
        """A member begins at the current offset, in place of one that is empty."""
        self._member, self.member_at, self._fresh = self._offset, self._decoded, True
        if self._begin_positions[-1] == self._decoded:
            self._begins[-1] = Place(self._offset, 0)
        else:
            # Noted at once, so that a record that ends here is followed by the place of the next member.
            self._begin_positions.append(self._decoded)
            self._begins.append(Place(self._offset, 0))

    def _decode_slice(self, piece: bytes, codec: Codec) -> bytes:
        decoder = self._decoder
        assert decoder is not None
        if self._slice_positions[-1] == self._decoded:
            self._slice_offsets[-1] = self._offset
        else:
            self._slice_positions.append(self._decoded)
            self._slice_offsets.append(self._offset)
        self._fresh = False
        block = self._note(decoder.decompress(piece))
        self._offset += len(piece)
        if decoder.eof:
            self._offset -= len(decoder.unused_data)
            self._decoder = codec.make()
            self._begin_member()
        return block

    def _note(self, block: bytes) -> bytes:
        """Count decoded bytes; those before the start place are dropped."""
        if self._skip:
            dropped = min(self._skip, len(block))
            block, self._skip = block[dropped:], self._skip - dropped
        self._decoded += len(block)
        return block

    def _salvage(self, piece: bytes, codec: Codec) -> bytes:
        """Return what the slice that failed holds before the byte at which the decoder gave up.

        The decoder keeps it back with its error. So the member is decoded again, that slice in small steps, and once
        more, the step that fails byte by byte.
        """
        good = 0
        for step in (SALVAGE_BYTES, 1):
            decoder = codec.make()
            parts: list[bytes] = []
            try:
                for offset in range(self._member, self._offset, codec.feed_bytes):
                    decoder.decompress(self._buffer.read(offset, min(codec.feed_bytes, self._offset - offset)))
                parts.append(decoder.decompress(piece[:good]))
                for at in range(good, len(piece), step):
                    parts.append(decoder.decompress(piece[at : at + step]))
                    good = at + step
            except codec.errors:
                continue
        return b"".join(parts)

    def _at_end_of_file(self, codec: Codec) -> None:
        if self._fresh:
            self.ended = True
        else:
            self.failure = Failure(TRUNCATED, self._member, f"the file ends inside a {codec.name} member")

    def encoded_from(self, position: int) -> int:
        """Return an offset of the file before which nothing of the decoded byte at `position` is encoded."""
        if self.codec is None:
            return self._offset
        number = max(bisect_right(self._slice_positions, position) - 1, 0)
        return max(0, self._slice_offsets[number] - self.codec.held_bytes)

    def text_before(self, position: int, first: int) -> bytes:
        """Return what the current member encodes from the offset `first` of the file on, up to the decoded `position`.

        A little before `first` may be in it. The member is decoded once more.
        """
        codec = self.codec
        assert codec is not None
        decoder, decoded, kept = codec.make(), 0, b""
        end = self.place(position).inner
        for offset in range(self._member, self._offset, codec.feed_bytes):
            if decoded >= end:
                break
            self._buffer.check()
            size = min(codec.feed_bytes, self._offset - offset)
            try:
                block = decoder.decompress(self._buffer.read(offset, size))
            except codec.errors:
                break
            decoded += len(block)
            if offset + size > first:
                kept += block[: max(0, len(block) - max(0, decoded - end))]
        return kept

    def skip_damage(
        self, first: int, *, text: Callable[[int], bytes] = lambda first: b"", limit: int | None = None
    ) -> int | None:
        """Go on at the next member behind the damage that begins a WARC record.

        Decoded positions count from 0 again afterwards. A copy of a member inside a text (a page may show one) does not
        count: its bytes are found in what was decoded, or they lie in a block of a zstd frame that is otherwise whole.

        Work is bounded. At most `PROBES_PER_BYTE` bytes are decoded for each byte passed, besides one candidate. And a
        member that decoded to W bytes before it failed is only gone back into so far that the bytes passed could have
        been compressed from W, so the same bytes are not decoded again and again from ever new beginnings.

        Args:
            first: Offset of the file to begin at.
            text: Returns what was decoded from an offset of the file on; called once, if a member is found.
            limit: How many bytes to look at.

        Returns:
            The member's offset in the file; None if there is none.
        """
        codec = self.codec
        assert codec is not None
        repeated = self._decoded - self.member_at
        offset, spent, copies = first, 0, 0
        shown: bytes | None = None
        enclosing: EnclosingFrame | None = None
        while len(block := self._buffer.read(offset, READ_BYTES)) >= codec.magic_bytes:
            if limit is not None and offset - first >= limit:
                break
            for match in codec.magic.finditer(block):
                at = offset + match.start()
                passed = at - first + 1
                cost = spent if enclosing is None else spent + HEADER_BYTES * enclosing.followed
                if cost > PROBES_PER_BYTE * passed or repeated > codec.expansion * passed + LEAST_REPEAT_BYTES:
                    continue
                begins, cost = begins_record(codec, self._buffer.read(at, codec.head_bytes))
                spent += cost
                if not begins:
                    continue
                if shown is None:
                    shown = text(first)
                    enclosing = self._enclosing(codec)
                if enclosing is not None and enclosing.holds(at):
                    continue
                copy = shown.find(self._buffer.read(at, SIGNATURE_BYTES), copies) if shown else -1
                if copy >= 0:
                    copies = copy + 1
                    continue
                self._restart(Place(at, 0))
                return at
            offset += len(block) - codec.magic_bytes + 1
        self.ended = True
        self.failure = None
        return None

    def _enclosing(self, codec: Codec) -> EnclosingFrame | None:
        """The member that failed, as far as its own structure says where it ends."""
        taken = self._offset - self._member
        if not codec.framed or taken > FRAME_BYTES:
            return None
        data = self._buffer.read(self._member, taken + READ_BYTES)
        return EnclosingFrame.of(data, self._member, taken, to_end=len(data) < taken + READ_BYTES)
