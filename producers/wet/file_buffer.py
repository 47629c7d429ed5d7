"""Reading a source's file from one buffer, so that going a little back costs no I/O."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

READ_BYTES = 1 << 18


class Readable(Protocol):
    """The part of a source's file that the reader needs, local or remote."""

    def read(self, size: int, /) -> bytes:
        """Return `size` bytes; fewer only at the end."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go to a byte offset (whence 2: counted from the end) and return it."""


def no_check() -> None:
    """Nothing to check between reads."""


class FileBuffer:
    """The bytes of a file around the offset that was read last.

    `check` is called before each read of the file, that is, at least once for every `READ_BYTES`. Whatever it raises
    ends the reading.
    """

    def __init__(self, file: Readable, check: Callable[[], None] = no_check) -> None:
        self._file = file
        self.check = check
        self._data = b""
        self._begin = 0
        self._file_at = -1

    def read(self, offset: int, size: int) -> bytes:
        """Return `size` bytes from `offset` on; fewer only at the end of the file."""
        at = offset - self._begin
        if at < 0 or at > len(self._data):
            self._data, self._begin, at = b"", offset, 0
        if at + size > len(self._data):
            self.check()
            end = self._begin + len(self._data)
            if self._file_at != end:
                self._file.seek(end)
            block = self._file.read(max(size, READ_BYTES))
            self._file_at = end + len(block)
            self._data, self._begin, at = self._data[at:] + block, offset, 0
        return self._data[at : at + size]

    def size(self) -> int:
        """Return the size of the file in bytes."""
        self._file_at = -1
        return self._file.seek(0, 2)
