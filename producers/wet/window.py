"""A window of decoded bytes that moves over a file, addressed by decoded position."""

from __future__ import annotations

import re

from producers.wet.header import FIRST_LINE, NEXT_RECORD, OVERLAP, VERSION
from producers.wet.members import Members


class Window:
    """The decoded bytes from `begin` to `end`; `members` gives more of them at the end.

    Bytes before the position that `keep` was last called with are dropped when the window moves on.
    """

    def __init__(self, members: Members) -> None:
        self._members = members
        self._data = b""
        self._kept = 0
        self.begin = 0

    @property
    def end(self) -> int:
        """Position behind the last byte."""
        return self.begin + len(self._data)

    def reset(self) -> None:
        """Start again at position 0, after the members have skipped damage."""
        self._data, self._kept, self.begin = b"", 0, 0

    def keep(self, position: int) -> None:
        """Bytes before `position` are not needed any more."""
        self._kept = max(position, self.begin)

    def more(self) -> bool:
        """Decode on; False at the end of the file, or of what can be decoded."""
        return self.need(self.end + 1)

    def need(self, end: int) -> bool:
        """Decode on until the window reaches `end`; False if the file, or what can be decoded, ends before."""
        missing = end - self.end
        if missing <= 0:
            return True
        blocks = [self._data[self._kept - self.begin :]]
        while missing > 0 and (block := self._members.fill()):
            blocks.append(block)
            missing -= len(block)
        self._data, self.begin = b"".join(blocks), self._kept
        self._members.forget(self._kept)
        return missing <= 0

    def copy(self, begin: int, end: int) -> bytes:
        """Return a copy of what the window still has of [begin, end)."""
        return self._data[max(begin - self.begin, 0) : end - self.begin]

    def view(self, begin: int, end: int) -> memoryview:
        """Return [begin, end) without copying; valid until the window moves."""
        return memoryview(self._data)[begin - self.begin : end - self.begin]

    def startswith(self, prefix: bytes, position: int) -> bool:
        """Whether `prefix` is at `position`."""
        return self._data.startswith(prefix, position - self.begin)

    def match(self, pattern: re.Pattern[bytes], position: int) -> re.Match[bytes] | None:
        """Match a pattern at `position`; the match's indices count from `begin`."""
        return pattern.match(self._data, position - self.begin)

    def search(self, pattern: re.Pattern[bytes], position: int, end: int) -> re.Match[bytes] | None:
        """Search a pattern in [position, end); the match's indices count from `begin`."""
        return pattern.search(self._data, max(position - self.begin, 0), end - self.begin)

    def next_start(self, position: int, end: int) -> int | None:
        """Return where the next record seems to begin in [position, end), as far as the window reaches.

        That is a version line behind a line end. A record that begins a member needs no line end before it: the text
        before may have lost its own.
        """
        match = self.search(NEXT_RECORD, position - 1, min(end + OVERLAP, self.end))
        found = None if match is None else self.begin + match.start() + 1
        if found is not None and found >= end:
            found = None
        member = self.next_member_start(position, end if found is None else found)
        return found if member is None else member

    def next_member_start(self, position: int, end: int) -> int | None:
        """Return where the next member begins in [position, end) whose text begins as a record does."""
        for begin in self._members.begins_between(position, end):
            if self.startswith(VERSION, begin) and self.match(FIRST_LINE, begin):
                return begin
        return None
