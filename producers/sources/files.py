"""Opened sources, wherever they are, and fingerprints of their content."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from types import TracebackType
from typing import NamedTuple, Protocol

EDGE_BYTES = 1 << 16


class SourceFile(Protocol):
    """A file that can be read from any offset.

    Attributes:
        on_wait: Called repeatedly while a read waits for a server; whatever it raises ends the read.
        random_access: Whether seeking is cheap.
    """

    on_wait: Callable[[], None]
    random_access: bool

    def read(self, size: int, /) -> bytes:
        """Read `size` bytes, fewer only at the end of the file."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go to a byte offset (whence 2: from the end); return it."""

    def close(self) -> None:
        """Close the file."""

    def __enter__(self) -> SourceFile:
        """Return the file."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""


def no_wait() -> None:
    """Do nothing while waiting."""


class LocalFile(io.BufferedReader):
    """A file on this machine."""

    random_access = True

    def __init__(self, path: str) -> None:
        super().__init__(io.FileIO(path))
        self.on_wait: Callable[[], None] = no_wait


class SourceReadError(OSError):
    """A remote source cannot be read, even after retries; the message says what and why."""


class Fingerprint(NamedTuple):
    """What tells two contents apart without reading them whole: size in bytes, SHA-256 of the first and last 64 KiB."""

    size: int
    head: str
    tail: str


def fingerprint(file: SourceFile, size: int | None = None) -> Fingerprint:
    """Return the fingerprint of an open file, or of its first `size` bytes.

    The tail is empty if the server has no byte ranges: computing it would read the whole file.
    """
    end = file.seek(0, 2)
    size = end if size is None else min(size, end)
    file.seek(0)
    head = hashlib.sha256(file.read(min(EDGE_BYTES, size))).hexdigest()
    if not file.random_access:
        return Fingerprint(size, head, "")
    file.seek(max(0, size - EDGE_BYTES))
    return Fingerprint(size, head, hashlib.sha256(file.read(min(EDGE_BYTES, size))).hexdigest())


def begins_with(file: SourceFile, known: Fingerprint) -> bool:
    """Return whether the file is the content with this fingerprint, or that content with more appended."""
    # A file shorter than one edge has its whole content in both hashes.
    found = fingerprint(file, known.size)
    return found == known or (not (found.tail and known.tail) and found[:2] == known[:2])
