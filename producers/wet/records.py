"""From a WET file to its records: each as it stood, or a stub that says what could not be read.

Nothing is lost silently: every byte of a source belongs to a record that is handed out, to the line ends between two
records, or to a stub with its place, its length and its reason. The items of a file are a chain: the first is at
the start, the `next` of one is the `place` of the one after it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from producers.wet.codec import GZIP
from producers.wet.fast_path import FastPath
from producers.wet.items import Record, Stub
from producers.wet.members import BEGINNING, Members, Place, Readable
from producers.wet.recognise import NotWetError, recognise
from producers.wet.splitter import Splitter

__all__ = ["NotWetError", "Record", "Stub", "WetReader", "read_records"]

# Where the short way leads nowhere so many times, with fewer records each time, the file is not made for it.
TRIES = 4
WORTH_RECORDS = 8


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
        self._file = file
        self._codec = recognise(file, name)
        self._start = start
        self._max_record_bytes = max_record_bytes
        self._verify_digests = verify_digests
        self._reading: FastPath | Members | None = None

    def __iter__(self) -> Iterator[Record | Stub]:
        place, tries = self._start, TRIES if self._codec is GZIP else 0
        while True:
            if tries and not place.inner:
                self._reading = short = FastPath(
                    self._file, place.member, self._max_record_bytes, verify_digests=self._verify_digests
                )
                yield from short.records()
                if short.ended:
                    return
                place = short.place
                tries = TRIES if short.handed_out >= WORTH_RECORDS else tries - 1
            self._reading = members = Members(self._file, self._codec, place)
            splitter = Splitter(members, self._file, self._max_record_bytes, verify_digests=self._verify_digests)
            for item in splitter.items():
                if item.place != place:
                    item = _moved(item, place)
                yield item
                place = item.next
                if tries and not place.inner and place != item.place:
                    break
            else:
                return

    @property
    def consumed(self) -> int:
        """Offset in the file up to which it was read; somewhat ahead of the items handed out."""
        return self._start.member if self._reading is None else self._reading.consumed


def _moved(item: Record | Stub, place: Place) -> Record | Stub:
    """The item with the line ends before it, so that it begins where the item before it ends."""
    following = place if item.next == item.place else item.next
    if isinstance(item, Record):
        return item._replace(place=place, next=following)
    return replace(item, place=place, next=following)


def read_records(
    path: Path, *, start: Place = BEGINNING, max_record_bytes: int = 1 << 24, verify_digests: bool = False
) -> Iterator[Record | Stub]:
    """The items of a local WET file, as WetReader gives them."""
    with path.open("rb") as file:
        yield from WetReader(
            file, str(path), start=start, max_record_bytes=max_record_bytes, verify_digests=verify_digests
        )
