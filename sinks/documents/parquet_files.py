"""The Parquet files of one version of a documents table, for Arrow and DuckDB."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from sinks.storage.folder import Folder
from sinks.storage.location import Location

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True, slots=True)
class ParquetFiles:
    """Files that never change; a stream that writes or compacts meanwhile only makes newer ones."""

    locations: tuple[Location, ...]

    @classmethod
    def at(cls, paths: Iterable[Path]) -> Self:
        """Files of the file system."""
        return cls(tuple(map(Folder, paths)))

    def __len__(self) -> int:
        return len(self.locations)

    @property
    def uris(self) -> list[str]:
        """Their absolute paths or URLs, as a connection from `connect` takes them."""
        return [location.uri for location in self.locations]

    def connect(self, **config: Any) -> duckdb.DuckDBPyConnection:
        """Open a DuckDB database in memory that can read these files.

        Args:
            **config: Options of DuckDB, such as `threads=1`.
        """
        import duckdb  # late: it takes a while to load, and most commands do not read the table

        connection = duckdb.connect(config=config)
        if self.locations:
            self.locations[0].attach(connection)
        return connection
