"""From a WET file to its records: each as it stood, or a stub that says what could not be read.

Nothing is lost silently: every byte of a source belongs to a record that is handed out, to the line ends between two
records, or to a stub with its place, its length and its reason. The items of a file are a chain: the `next` of one is
the `place` of the one after it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from producers.items import Record, Stub
from producers.members import BEGINNING, Members, Place, Readable
from producers.recognise import NotWetError, recognise
from producers.splitter import Splitter

__all__ = ["NotWetError", "Record", "Stub", "WetReader", "read_records"]


class WetReader:
    """All records of an opened WET file from `start` on, in order, each once.

    `start` is (0, 0) or the `next` of an item that was handed out before: from there on the same items come as in an
    uninterrupted reading. A file that is cut ends with a Stub with reason `truncated`, whose `next` is its own place:
    when the file has grown, reading goes on there. Raises NotWetError when made with a file that is no WET file,
    OSError when it cannot be read.

    `verify_digests`: a record whose block is not what its header's SHA-1 says becomes a stub. Where the file has no
    checksum of its own for a record (many records in one gzip member, zstd) that is always so.
    """

    def __init__(
        self,
        file: Readable,
        name: str,
        *,
        start: Place = BEGINNING,
        max_record_bytes: int = 1 << 24,
        verify_digests: bool = False,
    ) -> None:
        codec = recognise(file, name)
        self._members = Members(file, codec, start)
        self._splitter = Splitter(self._members, file, max_record_bytes, verify_digests=verify_digests)

    def __iter__(self) -> Iterator[Record | Stub]:
        return self._splitter.items()

    @property
    def consumed(self) -> int:
        """Offset in the file up to which it was read; somewhat ahead of the items handed out."""
        return self._members.consumed


def read_records(
    path: Path, *, start: Place = BEGINNING, max_record_bytes: int = 1 << 24, verify_digests: bool = False
) -> Iterator[Record | Stub]:
    """The items of a local WET file, as WetReader gives them."""
    with path.open("rb") as file:
        yield from WetReader(
            file, str(path), start=start, max_record_bytes=max_record_bytes, verify_digests=verify_digests
        )
