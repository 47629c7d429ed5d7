"""Fingerprints: telling the contents of two files apart without reading them whole."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from producers.sources.files import SourceFile

EDGE_BYTES = 1 << 16


class Fingerprint(NamedTuple):
    """Size in bytes, and the SHA-256 of the first and the last 64 KiB in hexadecimal."""

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
