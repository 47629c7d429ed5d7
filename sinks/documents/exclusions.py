"""Records of the topic that are not processed: of removed sources, and of sources that were read from their files.

Every reader of the topic, stream or replay, skips excluded records; otherwise records that were still in the topic when
their source was removed would bring part of it back.

Exclusions are a Parquet file in `_exclusions/` below the documents table, written anew for each change under a name of
its own. A property of the table names it, so the log says which exclusions apply: a file that no commit has named is
never read. Delta's vacuum leaves folders alone whose name begins with `_`.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from sinks.documents.errors import DamagedFileError
from sinks.storage.errors import UnavailableError
from sinks.storage.location import Location

FOLDER = "_exclusions"
SCHEMA = pa.schema(
    {"source": pa.string(), "partition": pa.int32(), "end": pa.int64(), "removal": pa.int64(), "begin": pa.int64()}
)

# Above every offset: no record of the source in the topic is ever processed.
FOREVER = (1 << 63) - 1
INHERITED = -1


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Excludes messages of one source: all below an offset, or a range of offsets.

    Messages behind a removed source's last one are a new ingestion of it. A range holds messages that are in the topic
    in excess: a repair removes them and nothing else of the source.

    Attributes:
        source: Identity of the source.
        partition: Topic partition; -1 for all.
        end: The first offset that is not excluded.
        removal: Number of the removal; 0 for a source that is read from its file, INHERITED for a removal in an earlier
            generation.
        begin: The first offset that is excluded.
    """

    source: str
    partition: int
    end: int
    removal: int
    begin: int = 0


class SourceRange(NamedTuple):
    """Offsets [begin, end) of a topic partition, of which only the messages of `source` are meant."""

    source: str
    partition: int
    begin: int
    end: int


class StoredExclusions:
    """The exclusions of one documents table, by the value of its property."""

    def __init__(self, table: Location) -> None:
        self._table = table
        self._last: tuple[str, tuple[Exclusion, ...]] = ("", ())

    def read(self, stored: str) -> list[Exclusion]:
        """Return the exclusions that a value of the property stands for.

        Args:
            stored: Path of the file below the table; "" for no exclusions. Tables of earlier versions hold the
                exclusions themselves, as JSON.

        Raises:
            DamagedFileError: The file is missing, or is not what was written.
        """
        if stored != self._last[0]:
            found = [Exclusion(*row) for row in json.loads(stored)] if stored.startswith("[") else self._file(stored)
            self._last = stored, tuple(found)
        return list(self._last[1])

    def write(self, exclusions: Iterable[Exclusion]) -> str:
        """Write exclusions to a new file, and return the value of the property that names it."""
        ordered = sorted(exclusions, key=lambda e: (e.source, e.partition, e.begin))
        stored = f"{FOLDER}/{uuid.uuid4().hex}.parquet"
        (self._table / FOLDER).make()
        columns = [pa.array([getattr(e, field.name) for e in ordered], field.type) for field in SCHEMA]
        with (self._table / stored).create() as file:
            pq.write_table(pa.table(columns, SCHEMA), file, compression="zstd", write_page_checksum=True)
        self._last = stored, tuple(ordered)
        return stored

    def delete(self, stored: str) -> None:
        """Delete the file that a value of the property names, if it names one."""
        if stored and not stored.startswith("["):
            (self._table / stored).delete()

    def _file(self, stored: str) -> list[Exclusion]:
        path = self._table / stored
        try:
            with path.open() as file:
                rows = pq.ParquetFile(file, page_checksum_verification=True).read().to_pylist()
            return [Exclusion(**row) for row in rows]
        except FileNotFoundError:
            raise DamagedFileError(path, "is missing") from None
        except UnavailableError:
            raise
        except (OSError, ValueError, TypeError, pa.ArrowException) as error:
            raise DamagedFileError(path, f"cannot be read ({str(error).partition(chr(10))[0]})") from error


def by_source(exclusions: Iterable[Exclusion]) -> dict[str, list[Exclusion]]:
    """Group exclusions by their source."""
    grouped: dict[str, list[Exclusion]] = {}
    for exclusion in exclusions:
        grouped.setdefault(exclusion.source, []).append(exclusion)
    return grouped
