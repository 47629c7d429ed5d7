"""An opened source, wherever it is."""

from __future__ import annotations

import io
from collections.abc import Callable
from types import TracebackType
from typing import Protocol


class SourceFile(Protocol):
    """Bytes that can be read from any offset on.

    `read` gives as many bytes as asked for, fewer only at the end of the file. `on_wait` is called again and again
    while a read has to wait for a server; what it raises ends the read. `random_access`: whether seeking is cheap.
    """

    on_wait: Callable[[], None]
    random_access: bool

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes from here on."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go to a byte offset (whence 2: counted from the end); returns it."""

    def close(self) -> None:
        """Let go of it."""

    def __enter__(self) -> SourceFile:
        """Itself."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""


def no_wait() -> None:
    """Nothing to do while waiting."""


class LocalFile(io.BufferedReader):
    """A file of this machine."""

    random_access = True

    def __init__(self, path: str) -> None:
        super().__init__(io.FileIO(path))
        self.on_wait: Callable[[], None] = no_wait


class SourceReadError(OSError):
    """A remote source cannot be read, also not after waiting; the message says where and why."""
