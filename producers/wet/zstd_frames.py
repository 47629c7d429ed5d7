"""The structure of zstd frames (RFC 8878, section 3.1), followed from header to header without decoding.

A frame says where its blocks end. So a frame that a page shows, and that lies verbatim in a block that cannot be
decoded, can be told from a frame that follows.
"""

from __future__ import annotations

from typing import Self

FRAME_MAGIC = b"\x28\xb5\x2f\xfd"
SKIPPABLE_MAGIC = b"\x2a\x4d\x18"  # behind a first byte from 0x50 to 0x5f
MAX_BLOCK_BYTES = 1 << 17
PADDING = b"\0\r\n \t"
CONTENT_SIZE_BYTES = (0, 2, 4, 8)
DICTIONARY_ID_BYTES = (0, 1, 2, 4)
RLE, RESERVED = 1, 3
# Blocks behind the one that cannot be decoded; a frame that has more of them is not followed to its end.
MORE_BLOCKS = 16


class EnclosingFrame:
    """A frame that cannot be decoded, and what lies inside it.

    Attributes:
        followed: How many block headers were looked at, to bound the work.
    """

    def __init__(self, data: bytes, begin: int) -> None:
        self._data = data
        self._begin = begin
        self._end = 0
        self._leads_to_end: dict[int, bool] = {}
        self.followed = 0

    @classmethod
    def of(cls, data: bytes, begin: int, taken: int, *, to_end: bool) -> Self | None:
        """Follow the headers of a frame.

        Args:
            data: Bytes of the file from the frame's beginning on.
            begin: Their offset in the file.
            taken: How many of them the decoder took before it failed.
            to_end: Whether `data` reaches to the end of the file.

        Returns:
            None if the frame does not say where it ends, or no other frame, padding or end of the file is there.
        """
        frame = cls(data, begin)
        end = frame._frame_end(0, taken)
        if end is None or (end >= len(data) and not to_end):
            return None
        frame._end = end
        behind = data[end : end + len(FRAME_MAGIC)]
        return frame if not behind or _may_begin(behind) or behind[0] in PADDING else None

    def holds(self, offset: int) -> bool:
        """Whether what begins at this offset of the file is part of the frame.

        Where the file ends inside the frame, another frame is only believed if nothing but whole frames follows, up to
        the end of the file: then a length in the first one is wrong.
        """
        at, size = offset - self._begin, len(self._data)
        if self._end <= size:
            return at < self._end
        passed = []
        while at < size and at not in self._leads_to_end:
            passed.append(at)
            end = self._frame_end(at, size)
            at = size + 1 if end is None else end
        found = at == size or self._leads_to_end.get(at, False)
        self._leads_to_end.update(dict.fromkeys(passed, found))
        return not found

    def _frame_end(self, at: int, taken: int) -> int | None:
        """Where the frame at `at` ends, by its headers; beyond the data if it is cut; None if it is no frame."""
        data = self._data
        self.followed += 1
        magic = data[at : at + 4]
        if _is_skippable(magic):
            return at + 8 + int.from_bytes(data[at + 4 : at + 8].ljust(4, b"\xff"), "little")
        if magic != FRAME_MAGIC:
            return None
        descriptor = int.from_bytes(data[at + 4 : at + 5], "little")
        single_segment, checksum = descriptor >> 5 & 1, descriptor >> 2 & 1
        content_size = CONTENT_SIZE_BYTES[descriptor >> 6] or single_segment
        at += 5 + (1 - single_segment) + DICTIONARY_ID_BYTES[descriptor & 3] + content_size
        left = MORE_BLOCKS
        while at + 3 <= len(data):
            self.followed += 1
            left -= at > taken
            header = int.from_bytes(data[at : at + 3], "little")
            last, kind, size = header & 1, header >> 1 & 3, header >> 3
            if kind == RESERVED or size > MAX_BLOCK_BYTES or not left:
                return None
            at += 3 + (1 if kind == RLE else size)
            if last:
                return at + 4 * checksum
        return max(at, len(data) + 1)


def _may_begin(data: bytes) -> bool:
    """Whether a frame may begin with these bytes, of which the end of the file may have cut some."""
    return FRAME_MAGIC.startswith(data) or (0x50 <= data[0] < 0x60 and SKIPPABLE_MAGIC.startswith(data[1:]))


def _is_skippable(magic: bytes) -> bool:
    return 0x50 <= magic[0] < 0x60 and magic[1:] == SKIPPABLE_MAGIC if len(magic) == 4 else False
