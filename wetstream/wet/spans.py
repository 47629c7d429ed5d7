"""A part of a WET file, between two places: what one task of a stream reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from conf.reasons import TRUNCATED
from conf.settings import ProducerSettings
from producers.sources.files import SourceFile, SourceReadError
from producers.sources.opening import open_source
from producers.sources.source import Source
from producers.topic.message import retraction_key, stub_value
from producers.wet.items import Record, Stub
from producers.wet.members import BEGINNING, Place
from producers.wet.records import WetReader
from streaming.tasks.message_batches import item_messages

Message = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Span:
    """Records of a source, given as bytes of its file.

    A span is the same records whenever it is read, also when the file has grown since.

    Attributes:
        source: The source.
        size: The file is read as if it ended after so many bytes.
        start: The first record begins here; None: behind what the first `size_before` bytes hold.
        end: The first record that does not belong to it begins here; None: all up to `size` belongs to it.
        size_before: What was read before, if `start` is None.
    """

    source: Source
    size: int
    start: Place | None = BEGINNING
    end: Place | None = None
    size_before: int = 0


class _FirstBytes:
    """The first `size` bytes of an open file, as a file."""

    def __init__(self, file: SourceFile, size: int) -> None:
        self._file = file
        self._size = size
        self._at = 0

    def read(self, size: int, /) -> bytes:
        block = self._file.read(max(0, min(size, self._size - self._at)))
        self._at += len(block)
        return block

    def seek(self, offset: int, whence: int = 0, /) -> int:
        self._at = self._file.seek(self._size + offset if whence == 2 else offset)
        return self._at


def span_messages(span: Span, settings: ProducerSettings) -> Iterator[Message]:
    """Yield key and value of the message that each record of a span would become in the topic.

    If the file was cut inside a record when it was read before, and has grown since, the first message retracts the
    stub of that record, as a producer's would.

    Raises:
        NotWetError: It is no WET file.
        OSError: It cannot be read, or has become shorter.
    """
    with open_source(span.source, settings) as file:
        if (found := file.seek(0, 2)) < span.size:
            raise SourceReadError(
                f"it has {found:,} bytes, and had {span.size:,} when it was found: a file may grow, not shrink"
            )
        start = span.start
        if start is None:
            cut, start = _end_of(_reader(file, span.source, span.size_before, BEGINNING, settings))
            if cut is not None:
                yield retraction_key(span.source.id, cut), stub_value(cut)
        items = _reader(file, span.source, span.size, start, settings)
        yield from item_messages(span.source.id, _until(items, span.end))


def place_after(
    source: Source, size: int, start: Place, records: int, settings: ProducerSettings
) -> tuple[Place | None, int]:
    """Find where so many records of a source end.

    Returns:
        The place of the record behind them, None if there is none; and how many there were.
    """
    count = 0
    with open_source(source, settings) as file:
        for item in _reader(file, source, size, start, settings):
            if count == records:
                return item.place, count
            count += 1
    return None, count


def cut_and_end(source: Source, size: int, settings: ProducerSettings) -> tuple[bool, Place]:
    """Return whether the first `size` bytes of a source end inside a record, and where reading resumes."""
    with open_source(source, settings) as file:
        cut, end = _end_of(_reader(file, source, size, BEGINNING, settings))
    return cut is not None, end


def _reader(
    file: SourceFile, source: Source, size: int, start: Place, settings: ProducerSettings
) -> Iterator[Record | Stub]:
    return iter(
        WetReader(
            _FirstBytes(file, size),
            source.name,
            start=start,
            max_record_bytes=settings.max_record_bytes,
            verify_digests=settings.verify_digests,
        )
    )


def _end_of(items: Iterator[Record | Stub]) -> tuple[Stub | None, Place]:
    """Read to the end: the stub of a record that is cut there, and where reading resumes."""
    end, cut = BEGINNING, None
    for item in items:
        end, cut = item.next, item if isinstance(item, Stub) and item.reason == TRUNCATED else None
    return cut, end


def _until(items: Iterator[Record | Stub], end: Place | None) -> Iterator[Record | Stub]:
    for item in items:
        if end is not None and item.place >= end:
            return
        yield item
