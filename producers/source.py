"""What a source is called, and how its content is recognised.

The identity decides what "the same source" means everywhere: key of its messages, row of the ledger, argument of
`remove`. It is therefore made in one function, from the name alone; the content is told apart by the fingerprint.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

# A crawl path (crawl-data/CC-MAIN-2016-50/segments/1480698540409.8/wet/….warc.wet.gz), also with the slashes
# replaced by underscores as in the data sets of the course project P2.1; the parts themselves hold no underscore.
CRAWL_PATH = re.compile(
    r"crawl-data[/_](?P<crawl>[^/_]+)[/_]segments[/_](?P<segment>[^/_]+)[/_]wet[/_](?P<file>[^/_]+\.wet(?:\.\w+)?)$"
)
EDGE_BYTES = 1 << 16
SUFFIXES = (".wet", ".wet.gz")


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Size in bytes, and SHA-256 of the first and the last 64 KiB: enough to tell files apart without reading them."""

    size: int
    head: str
    tail: str


@dataclass(frozen=True, slots=True)
class Source:
    """A WET file to ingest: its identity and where its bytes are."""

    id: str
    path: Path


def source_id(path: str | Path) -> str:
    """The identity of the source at `path`: its crawl path where it holds one, else its absolute URI.

    The same file by another way (relative, through a symbolic link) has the same identity.
    """
    resolved = Path(path).resolve()
    match = CRAWL_PATH.search(resolved.as_posix())
    if match:
        return f"crawl-data/{match['crawl']}/segments/{match['segment']}/wet/{match['file']}"
    return resolved.as_uri()


def crawl_and_segment(source: str) -> tuple[str, str]:
    """Crawl and segment of a source identity; empty strings where it names none."""
    match = CRAWL_PATH.search(source)
    return (match["crawl"], match["segment"]) if match else ("", "")


def fingerprint(file: BinaryIO, size: int | None = None) -> Fingerprint:
    """Fingerprint of an open file, or of its first `size` bytes."""
    end = file.seek(0, 2)
    size = end if size is None else min(size, end)
    file.seek(0)
    head = file.read(min(EDGE_BYTES, size))
    file.seek(max(0, size - EDGE_BYTES))
    tail = file.read(min(EDGE_BYTES, size))
    return Fingerprint(size, hashlib.sha256(head).hexdigest(), hashlib.sha256(tail).hexdigest())


def continues(file: BinaryIO, known: Fingerprint) -> bool:
    """Whether the file begins with the content that had this fingerprint: the same, or the same and more behind it.

    A file that was shorter than one edge has its whole content in both hashes.
    """
    return fingerprint(file, known.size) == known
