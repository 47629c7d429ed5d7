"""WET files as a Spark stream: which bytes of which files belong to a micro-batch.

An offset holds, for every source that was ever found, how many bytes of its file are read, and where reading resumes if
that is inside the file: the same place that a producer's progress marker holds. The rows of a micro-batch are a
function of two offsets and of bytes that do not change, so a micro-batch that is repeated after a crash has the same
rows, and those after it begin where it ends.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyspark.sql.datasource import DataSourceStreamReader, InputPartition
from pyspark.sql.streaming.datasource import (
    ReadAllAvailable,
    ReadLimit,
    ReadMaxBytes,
    ReadMaxFiles,
    ReadMaxRows,
    SupportsTriggerAvailableNow,
)

from conf.errors import ExplainedError
from conf.settings import SettingsError
from producers.sources.opening import open_source
from producers.sources.source import Source
from producers.sources.urls import is_url
from producers.wet.members import BEGINNING, Place
from producers.wet.records import WetReader
from wetstream.wet.options import WetOptions, whole_number
from wetstream.wet.partitions import RowFormat, SpanPartition, read_span
from wetstream.wet.spans import Span, cut_and_end, place_after

log = logging.getLogger("wetstream")
LIMITS: dict[str, Callable[[int], ReadLimit]] = {
    "maxFilesPerTrigger": ReadMaxFiles,
    "maxBytesPerTrigger": ReadMaxBytes,
    "maxRecordsPerTrigger": ReadMaxRows,
}


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a source is read: the first `size` bytes of its file, up to `place`; None: all that they hold."""

    size: int
    place: Place | None = None

    @classmethod
    def parse(cls, fields: Mapping[str, int]) -> Progress:
        """Parse the part of an offset about one source."""
        return cls(fields["size"], Place(fields["member"], fields["inner"]) if "member" in fields else None)

    def fields(self) -> dict[str, int]:
        """The part of an offset about one source."""
        if self.place is None:
            return {"size": self.size}
        return {"size": self.size, "member": self.place.member, "inner": self.place.inner}


@dataclass
class Budget:
    """What a micro-batch may still take; None: without limit."""

    files: int | None = None
    bytes: int | None = None
    records: int | None = None

    @classmethod
    def of(cls, limit: ReadLimit) -> Budget:
        """The budget that Spark asks to keep."""
        match limit:
            case ReadMaxFiles(files):
                return cls(files=files)
            case ReadMaxBytes(size):
                return cls(bytes=size)
            case ReadMaxRows(records):
                return cls(records=records)
        return cls()

    def allows(self, size: int, *, first: bool) -> bool:
        """Whether a file of which `size` bytes are to be read still fits; a first one always does."""
        if self.files == 0 or self.records == 0:
            return False
        return first or self.bytes is None or size <= self.bytes

    def take(self, size: int) -> None:
        """Take a file."""
        self.files = None if self.files is None else self.files - 1
        self.bytes = None if self.bytes is None else self.bytes - size


class WetStreamReader(DataSourceStreamReader, SupportsTriggerAvailableNow):
    """Finds files that are new, or have grown, at each trigger."""

    def __init__(self, paths: Sequence[str], options: WetOptions, format: RowFormat, limits: Mapping[str, str]) -> None:
        self._paths = paths
        self._options = options
        self._format = format
        self._limit = _limit(limits)
        self._sources: dict[str, Source] = {}
        self._target: list[tuple[Source, int]] | None = None
        self._remote_sizes: dict[str, int] = {}
        self._logged: set[str] = set()

    def initialOffset(self) -> dict[str, Any]:  # noqa: N802
        """Return the offset at which nothing is read."""
        return {"sources": {}}

    def getDefaultReadLimit(self) -> ReadLimit:  # noqa: N802
        """Return the limit that the options ask for."""
        return self._limit

    def prepareForTriggerAvailableNow(self) -> None:  # noqa: N802
        """Fix the files, and their sizes, that a query with this trigger reads."""
        self._target = list(self._found())

    def latestOffset(self, start: dict[str, Any], limit: ReadLimit) -> dict[str, Any]:  # noqa: N802
        """Return the offset up to which the next micro-batch reads."""
        known = {name: Progress.parse(fields) for name, fields in start["sources"].items()}
        budget, taken = Budget.of(limit), 0
        reached: dict[str, Progress] = {}
        for source, size in self._found() if self._target is None else self._target:
            before = known.get(source.id)
            if before is not None and before.place is None and size <= before.size:
                continue
            if not budget.allows(size - (before.size if before else 0), first=not taken):
                break
            after = self._read_ahead(source, size, before, budget)
            if after is not None:
                budget.take(size - (before.size if before else 0))
                reached[source.id] = after
                taken += 1
        if not reached:
            return start
        return {"sources": {**start["sources"], **{name: after.fields() for name, after in reached.items()}}}

    def partitions(self, start: dict[str, Any], end: dict[str, Any]) -> Sequence[InputPartition]:
        """Return the parts of files between two offsets, one a task."""
        wanted = [name for name, fields in end["sources"].items() if start["sources"].get(name) != fields]
        if any(name not in self._sources for name in wanted):
            self._discover()  # after a restart
        parts: list[InputPartition] = []
        for name in wanted:
            if name not in self._sources:
                raise SettingsError(
                    f"{name} is to be read again after a restart, and is not there any more: restore it"
                )
            before, after = start["sources"].get(name), Progress.parse(end["sources"][name])
            read = Progress(0, BEGINNING) if before is None else Progress.parse(before)
            parts.append(SpanPartition(Span(self._sources[name], after.size, read.place, after.place, read.size)))
        return parts

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a task. Raises NotWetError, SourceReadError."""
        assert isinstance(partition, SpanPartition)
        return read_span(partition.span, self._options.reading, self._format)

    def _read_ahead(self, source: Source, size: int, before: Progress | None, budget: Budget) -> Progress | None:
        """How far to read a source; None if it cannot be read, which is logged once: it never holds up the rest."""
        settings = self._options.reading
        try:
            if before is None:
                with open_source(source, settings) as file:
                    WetReader(file, source.name)
            if budget.records is None:
                return Progress(size)
            start = BEGINNING if before is None else before.place
            if start is None:
                assert before is not None
                cut, start = cut_and_end(source, before.size, settings)
                budget.records -= cut  # its retraction is a row
            place, records = place_after(source, size, start, max(0, budget.records), settings)
            budget.records = max(0, budget.records - records)
            return Progress(size, place)
        except ExplainedError as error:
            self._log_once(str(error))
        except OSError as error:
            self._log_once(f"{source.name} cannot be read: {error.strerror or error}")
        return None

    def _found(self) -> Iterator[tuple[Source, int]]:
        """The sources that are there and at rest, with the size of their files in bytes."""
        for source in self._discover():
            if source.problem is not None:
                self._log_once(source.problem)
                continue
            try:
                size = self._size(source)
            except OSError as error:
                self._log_once(f"{source.name} cannot be read: {error.strerror or error}")
                continue
            if size is not None:
                yield source, size

    def _discover(self) -> list[Source]:
        try:
            found = list(self._options.find(self._paths, keep_going=True, on_note=self._log_once))
        except ExplainedError as error:
            self._log_once(str(error))  # nothing is there yet
            return []
        self._sources |= {source.id: source for source in found}
        return found

    def _size(self, source: Source) -> int | None:
        """Size of a file; None while it is being written to. A remote one is there, whole, or not."""
        if is_url(source.location):
            return self._remote_size(source)
        status = Path(source.location).stat()
        at_rest = time.time() - status.st_mtime >= self._options.reading.follow_rest_s
        return status.st_size if at_rest else None

    def _remote_size(self, source: Source) -> int:
        known = self._remote_sizes.get(source.id)
        if known is None:
            with open_source(source, self._options.reading) as file:
                known = self._remote_sizes[source.id] = file.seek(0, 2)
        return known

    def _log_once(self, text: str) -> None:
        if text not in self._logged:
            self._logged.add(text)
            log.warning("%s; it is looked at again", text)


def _limit(given: Mapping[str, str]) -> ReadLimit:
    if len(given) > 1:
        raise SettingsError(f"{' and '.join(given)} are both set: a stream keeps one limit, leave one of them out")
    for name, value in given.items():
        return LIMITS[name](whole_number(name, value, 1))
    return ReadAllAvailable()
