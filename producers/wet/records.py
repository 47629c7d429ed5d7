"""From a WET file to its records: each as it is in the file, or a stub that says what could not be read.

Nothing is lost silently: every byte of a source belongs to a record that is handed out, to the line ends or the padding
between two records, or to a stub with its place, its length and its reason. The items of a file are a chain: the
first is at the start, the `next` of one is the `place` of the one after it.

Items depend on the file's bytes alone, not on where reading began or was interrupted. Work is linear in the bytes of
the file and in what they decode to, however hostile they are; `Members` and `Splitter` state the bounds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from producers.wet.codec import GZIP
from producers.wet.fast_path import FastPath
from producers.wet.file_buffer import READ_BYTES, Readable, no_check
from producers.wet.items import Record, Stub
from producers.wet.members import BEGINNING, Members, Place
from producers.wet.recognise import NotWetError, recognise
from producers.wet.splitter import Splitter

__all__ = ["NotWetError", "Record", "Stub", "WetReader", "read_records"]

# After so many attempts that led over less than READ_BYTES each, the rest of the file is left to the splitter.
TRIES = 4


class WetReader:
    """All records of an opened WET file from `start` on, in order, each once.

    A file that is cut ends with a Stub with reason `truncated`, whose `next` is its own place: when the file has grown,
    reading resumes there.

    Args:
        file: The opened file.
        name: Its name, for messages.
        start: (0, 0), or the `next` of an item that was handed out before: the same items follow as in an uninterrupted
            reading.
        max_record_bytes: Longer records become stubs.
        verify_digests: Whether the digest in a record's header is compared with its block even where a checksum of the
            file vouches for the block. Where there is none (an uncompressed file, many records in one gzip member,
            zstd) it always is. A record with a wrong digest becomes a stub.
        check: Called before each read of the file and each step of decoding (a mebibyte, or what 8 KiB decode to), so
            that a caller can interrupt by raising.

    Raises:
        NotWetError: The file is not WET.
        OSError: It cannot be read (also while iterating).
    """

    def __init__(
        self,
        file: Readable,
        name: str,
        *,
        start: Place = BEGINNING,
        max_record_bytes: int = 1 << 24,
        verify_digests: bool = False,
        check: Callable[[], None] = no_check,
    ) -> None:
        self._file = file
        self.check = check
        self._codec = recognise(file, name, self._check)
        self._start = start
        self._max_record_bytes = max_record_bytes
        self._verify_digests = verify_digests
        self._reading: FastPath | Members | None = None

    def __iter__(self) -> Iterator[Record | Stub]:
        place, tries = self._start, TRIES if self._codec is GZIP else 0
        while True:
            if tries and not place.inner:
                self._reading = fast = FastPath(
                    self._file,
                    place.member,
                    self._max_record_bytes,
                    verify_digests=self._verify_digests,
                    check=self._check,
                )
                yield from fast.records()
                if fast.ended:
                    return
                tries = TRIES if fast.place.member - place.member >= READ_BYTES else tries - 1
                place = fast.place
            self._reading = members = Members(self._file, self._codec, place, check=self._check)
            splitter = Splitter(members, self._max_record_bytes, verify_digests=self._verify_digests)
            for item in splitter.items():
                yield item
                place = item.next
                if tries and not place.inner and place != item.place:
                    break
            else:
                return

    def _check(self) -> None:
        self.check()

    @property
    def consumed(self) -> int:
        """Offset in the file up to which it was read; somewhat ahead of the items handed out."""
        return self._start.member if self._reading is None else self._reading.consumed


def read_records(
    path: Path, *, start: Place = BEGINNING, max_record_bytes: int = 1 << 24, verify_digests: bool = False
) -> Iterator[Record | Stub]:
    """Yield the items of a local WET file, as WetReader does."""
    with path.open("rb") as file:
        yield from WetReader(
            file, str(path), start=start, max_record_bytes=max_record_bytes, verify_digests=verify_digests
        )
