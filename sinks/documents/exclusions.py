"""Records of the topic that are not processed: of removed sources, and of sources that were read from their files.

Every reader of the topic, stream or replay, skips excluded records; otherwise records that were still in the topic when
their source was removed would bring part of it back. Pages that are taken down are kept out likewise, by their URL.

Exclusions and takedowns are a Parquet file in `_exclusions/` below the documents table, written anew for each change
under a name of its own. A property of the table names it, so the log says which of them apply: a file that no commit
has named is never read. Delta's vacuum leaves folders alone whose name begins with `_`.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from sinks.documents.errors import DamagedFileError
from sinks.documents.takedowns import Takedown, TakedownKind
from sinks.storage.errors import UnavailableError
from sinks.storage.location import Location

FOLDER = "_exclusions"
SCHEMA = pa.schema(
    {"source": pa.string(), "partition": pa.int32(), "end": pa.int64(), "removal": pa.int64(), "begin": pa.int64()}
)
# With takedowns. Versions that do not know them refuse the file, instead of letting in what is taken down.
TAKEDOWN_SCHEMA = pa.schema([*SCHEMA, pa.field("kind", pa.string()), pa.field("value", pa.string())])

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


class Excluded(NamedTuple):
    """What a documents table leaves out: records of the topic, and pages wherever they come from."""

    records: tuple[Exclusion, ...] = ()
    pages: tuple[Takedown, ...] = ()


class StoredExclusions:
    """The exclusions and takedowns of one documents table, by the value of its property."""

    def __init__(self, table: Location) -> None:
        self._table = table
        self._last: tuple[str, Excluded] = ("", Excluded())

    def read(self, stored: str) -> Excluded:
        """Return the exclusions and takedowns that a value of the property stands for.

        Args:
            stored: Path of the file below the table; "" for none. Tables of earlier versions hold the exclusions
                themselves, as JSON.

        Raises:
            DamagedFileError: The file is missing, or is not what was written.
        """
        if stored != self._last[0]:
            if stored.startswith("["):
                found = Excluded(tuple(Exclusion(*row) for row in json.loads(stored)))
            else:
                found = self._file(stored)
            self._last = stored, found
        return self._last[1]

    def write(self, exclusions: Iterable[Exclusion], takedowns: Iterable[Takedown] = ()) -> str:
        """Write exclusions and takedowns to a new file, and return the value of the property that names it."""
        found = Excluded(
            tuple(sorted(exclusions, key=lambda e: (e.source, e.partition, e.begin))),
            tuple(sorted(takedowns, key=lambda takedown: (takedown.kind, takedown.value))),
        )
        stored = f"{FOLDER}/{uuid.uuid4().hex}.parquet"
        (self._table / FOLDER).make()
        with (self._table / stored).create() as file:
            pq.write_table(_to_table(found), file, compression="zstd", write_page_checksum=True)
        self._last = stored, found
        return stored

    def delete(self, stored: str) -> None:
        """Delete the file that a value of the property names, if it names one."""
        if stored and not stored.startswith("["):
            (self._table / stored).delete()

    def _file(self, stored: str) -> Excluded:
        path = self._table / stored
        try:
            with path.open() as file:
                rows = pq.ParquetFile(file, page_checksum_verification=True).read().to_pylist()
            return _from_rows(rows)
        except FileNotFoundError:
            raise DamagedFileError(path, "is missing") from None
        except UnavailableError:
            raise
        except (OSError, ValueError, TypeError, pa.ArrowException) as error:
            raise DamagedFileError(path, f"cannot be read ({str(error).partition(chr(10))[0]})") from error


def _to_table(found: Excluded) -> pa.Table:
    rows: list[dict[str, Any]] = [asdict(exclusion) for exclusion in found.records]
    rows += [asdict(takedown) for takedown in found.pages]
    return pa.Table.from_pylist(rows, TAKEDOWN_SCHEMA if found.pages else SCHEMA)


def _from_rows(rows: Sequence[dict[str, Any]]) -> Excluded:
    records, pages = [], []
    for row in rows:
        kind, value = row.pop("kind", None), row.pop("value", None)
        if kind is None:
            records.append(Exclusion(**row))
        else:
            pages.append(Takedown(TakedownKind(kind), value, row["removal"]))
    return Excluded(tuple(records), tuple(pages))


def by_source(exclusions: Iterable[Exclusion]) -> dict[str, list[Exclusion]]:
    """Group exclusions by their source."""
    grouped: dict[str, list[Exclusion]] = {}
    for exclusion in exclusions:
        grouped.setdefault(exclusion.source, []).append(exclusion)
    return grouped
