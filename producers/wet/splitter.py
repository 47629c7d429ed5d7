"""The rules by which decoded bytes are cut into records.

A record is a header block, an empty line, `Content-Length` bytes and two line ends (WARC/1.1, ISO 28500:2017, section
4). Real files need more lenient rules: bare LF for CRLF, no empty lines between records, other versions.

What a header says is trusted over anything inside its block: a page may show a WARC header in its text. Only a block
digest proves a length wrong, or a gzip member or zstd frame that begins with a record inside the block.

Work is linear in the decoded bytes, whatever they are. A header block ends at the next version line, so searching for
its end passes each byte once. Looking ahead to the end of a block decodes bytes that are needed later anyway; at most
`max_record_bytes` are held. A block is hashed in vain only over a stretch with at most `PROOFS` version lines, so that
no byte is hashed more than `PROOFS` + 2 times.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from conf.reasons import DAMAGED, OVERSIZE, TRUNCATED
from producers.wet.digest import digest_verifies
from producers.wet.extent import Extent, Found
from producers.wet.header import (
    FIRST_LINE,
    HEADER_STOP,
    LINE_ENDS,
    MAX_HEADER_BYTES,
    OVERLAP,
    VERSION,
    content_length,
)
from producers.wet.items import Record, Stub, moved
from producers.wet.members import Members, Place
from producers.wet.proof import may_hash, pass_over, proven_end
from producers.wet.window import Window

OVERRUN = "Content-Length leads over the beginning of another record"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
LINE_END = re.compile(rb"[\r\n]")
LINE_END_RUN = re.compile(rb"[\r\n]*")
ZERO = b"\0"
# Line ends behind a block, as many as the format has, and the beginning of the next record.
BEHIND_BYTES = 4 + len(BYTE_ORDER_MARK) + len(VERSION)


class Splitter:
    """Cuts the decoded bytes of `members` into records and stubs.

    A record is handed out as whole when its extent is: it begins with the version, its header has an end and a length,
    and behind that length a record, a member or the end follows. Its bytes are then vouched for by the checksum of a
    gzip member of its own, else by its own digest if it has one.
    """

    def __init__(self, members: Members, max_record_bytes: int, *, verify_digests: bool) -> None:
        self._members = members
        self._max_record_bytes = max_record_bytes
        self._verify_digests = verify_digests
        self._window = Window(members)
        self._at = 0
        self._mark_at = 0  # of the last byte order mark that was skipped
        self._item_at = self._item_offset = 0

    def items(self) -> Iterator[Record | Stub]:
        """Yield all items from here on; each begins where the one before it ends."""
        place = self._place()
        while True:
            more = self._skip_separators()
            self._item_at, self._item_offset = self._at, self._members.encoded_from(self._at)
            if more:
                item = self._next_item()
                if item is None:
                    return
            elif self._members.failure is not None:
                item = self._failed(self._place(), b"")
            else:
                return
            if item.place != place:
                item = moved(item, place)
            yield item
            if item.next == item.place:
                return
            place = item.next

    def _next_item(self) -> Record | Stub | None:
        """The item at the current position; None if only padding is left."""
        begin, at = self._place(), self._at
        self._window.keep(at)
        found = self._examine(at)
        if found.extent is Extent.WHOLE:
            return self._whole(begin, found)
        if found.extent is Extent.OVERSIZE:
            return self._oversize(begin, found)
        if found.extent is Extent.CUT:
            return self._cut(begin, found)
        # A member of nothing but zeros is no padding: without a checksum, its text may have been overwritten.
        may_pad = self._members.codec is None or self._members.place(at).inner > 0
        if may_pad and self._window.startswith(ZERO, at) and self._only_padding():
            return None
        return self._damaged(begin, found)

    def _examine(self, at: int) -> Found:
        """What begins at `at`. Depends only on the bytes from there on."""
        window = self._window
        if not window.need(at + len(VERSION)) and VERSION.startswith(window.copy(at, window.end)):
            return Found(Extent.CUT, detail="the file ends inside a record header")
        if not window.startswith(VERSION, at):
            return Found(Extent.BAD, detail="no record begins here")
        end, detail = self._header_end(at)
        if end is None:
            return Found(Extent.CUT if detail.startswith("the file ends") else Extent.BAD, detail=detail)
        header = window.copy(at, end)
        if FIRST_LINE.match(header) is None or window.next_member_start(at + 1, end) is not None:
            return Found(Extent.BAD, detail="a record header that breaks off")
        size = content_length(header)
        if size is None:
            return Found(Extent.BAD, header, detail="a record header without a valid Content-Length")
        length = len(header) + size
        if length > self._max_record_bytes:
            detail = f"a record of {length:,} bytes; the limit is {self._max_record_bytes:,}"
            return Found(Extent.OVERSIZE, header, length, detail)
        if not window.need(at + length):
            return Found(Extent.CUT, header, length, f"the file ends inside a record of {length:,} bytes")
        window.need(at + length + OVERLAP)
        # What follows may be damaged; a block with the right digest is whole all the same.
        if self._ends_at(at + length) or (may_hash(window, at, length) and self._verifies(at, header, length)):
            return Found(Extent.WHOLE, header, length)
        return Found(Extent.BAD, header, length, "Content-Length does not lead to the end of the record")

    def _header_end(self, at: int) -> tuple[int | None, str]:
        """The position behind the empty line; or None, and why there is none."""
        window = self._window
        searched, limit = at + len(VERSION), at + MAX_HEADER_BYTES
        while True:
            match = window.search(HEADER_STOP, searched, limit)
            if match is not None:
                if match[1] is None:
                    return None, "a record header that breaks off"
                return window.begin + match.end(), ""
            if window.end >= limit:
                return None, "a record header without an end"
            searched = max(searched, window.end - OVERLAP)
            if not window.more():
                return None, "the file ends inside a record header"

    def _ends_at(self, position: int) -> bool:
        """Whether a record can end at `position`: line ends, then a record, a member, padding or the end."""
        window = self._window
        behind = window.copy(position, position + BEHIND_BYTES)
        rest = behind.lstrip(LINE_ENDS)
        if not rest.strip(ZERO + LINE_ENDS):
            return True
        begin = rest.removeprefix(BYTE_ORDER_MARK)
        if begin.startswith(VERSION) or VERSION.startswith(begin[: len(VERSION)]):
            return True
        return self._members.starts_member(position + len(behind) - len(rest))

    def _verifies(self, at: int, header: bytes, length: int) -> bool | None:
        return digest_verifies(self._window.view(at, at + length), header)

    def _whole(self, begin: Place, found: Found) -> Record | Stub:
        """A record by its extent; whether its bytes are right as well."""
        at, header, length = self._at, found.header, found.length
        end = at + length
        codec, salvaged_at = self._members.codec, self._members.salvaged_at
        shared = (
            codec is None
            or not codec.checked
            or begin.inner != 0
            or self._window.next_member_start(at + 1, end) is not None
        )
        verifies: bool | None = None
        if shared or self._verify_digests:
            verifies = self._verifies(at, header, length)
            if verifies is False and may_hash(self._window, at, length):
                start = proven_end(self._window, at, header, end)
                if start is not None:
                    return self._overrun(begin, header, start)
        raw = self._window.copy(at, end)
        self._at = end
        more = self._skip_separators()
        after = self._place_behind(end)
        failure = self._members.failure
        if not more and failure is not None and failure.reason == TRUNCATED and self._members.member_at < end:
            # The checksum that vouches for it is cut off, or it may be followed by more line ends.
            return self._failed(begin, header, raw)
        in_damage = salvaged_at is not None and after.member == begin.member
        if in_damage and begin.inner == 0 and not more:
            # It seems to have this member for itself, so the damage is in it, and its header has no digest.
            return self._failed(begin, header, raw)
        if not shared and after.member == begin.member:
            shared = True
            verifies = digest_verifies(raw, header)
        if verifies is False:
            return Stub(begin, after, length, DAMAGED, "digest", header)
        if shared and verifies is None and in_damage and salvaged_at is not None and end > salvaged_at:
            # Nothing vouches for it: decoded in the last step before the decoder gave up.
            return self._failed(begin, header, raw)
        return Record(begin, after, raw, len(header))

    def _cut(self, begin: Place, found: Found) -> Stub:
        """The input, or what can be decoded of it, ends inside a record."""
        at, window = self._at, self._window
        start = proven_end(window, at, found.header, window.end)
        if start is None:
            start = window.next_member_start(at + 1, window.end)
        if start is not None:
            return self._overrun(begin, found.header, start)
        if self._members.failure is not None:
            return self._failed(begin, found.header)
        self._at = window.end
        return Stub(begin, begin, window.end - at, TRUNCATED, found.detail, found.header)

    def _damaged(self, begin: Place, found: Found) -> Stub:
        """Skip to the next record that is whole by its extent; one stub stands for all in between.

        Where there is none, one that the end of the file cuts will do.
        """
        window, at = self._window, self._at
        first_cut: int | None = None
        position = proven_end(window, at, found.header, at + self._max_record_bytes)
        start = self._seek_start(at + 1 if position is None else position)
        while start is not None:
            extent = self._examine(start).extent
            if extent is Extent.WHOLE or extent is Extent.OVERSIZE:
                break
            if extent is Extent.CUT and first_cut is None:
                first_cut = start
            start = self._seek_start(start + 1, first_cut)
        if start is None:
            start = first_cut
        if start is None and self._members.failure is not None:
            return self._failed(begin, found.header)
        self._at = window.end if start is None else start
        return Stub(begin, self._place(), self._at - at, DAMAGED, found.detail, found.header)

    def _seek_start(self, position: int, keep: int | None = None) -> int | None:
        """The next position from `position` on at which a record seems to begin; reads on as far as it takes."""
        window = self._window
        while True:
            start = window.next_start(position, window.end)
            if start is not None:
                window.keep(start - 1 if keep is None else keep)
                return start
            position = max(position, window.end - OVERLAP)
            window.keep(position - 1 if keep is None else keep)
            if not window.more():
                return None

    def _oversize(self, begin: Place, found: Found) -> Stub:
        """Step over a record that is too long to be sent."""
        at, limit = self._at, self._at + found.length
        start = pass_over(self._window, at, found.header, limit)
        if start is not None:
            return self._overrun(begin, found.header, start)
        passed = min(self._window.end, limit) - at
        self._at = at + passed
        if passed == found.length:
            self._skip_separators()
            return Stub(begin, self._place_behind(limit), passed, OVERSIZE, found.detail, found.header)
        if self._members.failure is not None:
            return self._failed(begin, found.header)
        return Stub(begin, begin, passed, TRUNCATED, "the file ends inside " + found.detail, found.header)

    def _overrun(self, begin: Place, header: bytes, start: int) -> Stub:
        """A record that ends where another one is proven to begin, whatever its Content-Length says."""
        length, self._at = start - self._at, start
        return Stub(begin, self._place(), length, DAMAGED, OVERRUN, header)

    def _failed(self, begin: Place, header: bytes, raw: bytes = b"") -> Stub:
        """The decoder gave up in the item that begins at `begin`: a stub up to the next member that can be read.

        `raw` is what was decoded of the item, if the window does not have it any more.
        """
        failure, window = self._members.failure, self._window
        assert failure is not None
        size = self._members.size()
        item_at, members = self._item_at, self._members
        # In a member that gave records before, those are not searched again for members that their texts may show.
        shared = item_at >= members.member_at and members.place(item_at).inner > 0

        def text(first: int) -> bytes:
            before = members.text_before(item_at, first) if shared else b""
            return before + (raw or window.copy(item_at, window.end))

        first = self._item_offset if shared else 0
        found = members.skip_damage(max(failure.member, first) + 1, text=text)
        window.reset()
        self._at = self._mark_at = 0
        if failure.reason == TRUNCATED and found is None:
            return Stub(begin, begin, size - begin.member, TRUNCATED, failure.detail, header)
        # (A member that ran on to the end of the file over others that can be read is not cut but damaged.)
        end = size if found is None else found
        return Stub(begin, Place(end, 0), end - begin.member, DAMAGED, failure.detail, header)

    def _place(self) -> Place:
        return self._members.place(self._at)

    def _place_behind(self, end: int) -> Place:
        """The place of what follows a record that ends at `end`, now that the line ends behind it are skipped.

        They belong to what follows, so that the place does not depend on how many of them a cut file has. A member that
        begins behind some of them is a place that can be found without decoding.
        """
        begins = self._members.begins_between(end, self._at + 1)
        # Not in the middle of a mark, which is none from there on.
        begins = [begin for begin in begins if not 0 < begin - self._mark_at < len(BYTE_ORDER_MARK)]
        return self._members.place(begins[-1] if begins else end)

    def _skip_separators(self) -> bool:
        """Step over the line ends between records; False at the end of the input, or of what can be decoded."""
        window = self._window
        while True:
            match = window.match(LINE_END_RUN, self._at)
            assert match is not None
            self._at = window.begin + match.end()
            window.keep(self._at)
            if not window.need(self._at + 1):
                return False
            if window.startswith(BYTE_ORDER_MARK[:1], self._at):
                # Files with a mark each may have been joined.
                window.need(self._at + len(BYTE_ORDER_MARK + VERSION))
                if window.startswith(BYTE_ORDER_MARK + VERSION, self._at):
                    self._mark_at = self._at
                    self._at += len(BYTE_ORDER_MARK)
                return True
            if not window.match(LINE_END, self._at):
                return True

    def _only_padding(self) -> bool:
        """Whether nothing but zeros and line ends follows up to the end of the file."""
        window, position = self._window, self._at
        while not window.copy(position, window.end).strip(ZERO + LINE_ENDS):
            position = window.end
            window.keep(position - 1)
            if not window.more():
                return self._members.failure is None
        return False
