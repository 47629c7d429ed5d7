"""The Parquet files of one version of a documents table, for Arrow and DuckDB."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from sinks.storage.folder import Folder
from sinks.storage.location import Location

if TYPE_CHECKING:
    import duckdb

MEMORY_LIMIT = "1GB"  # of a DuckDB that queries them


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

    @property
    def sql_list(self) -> str:
        """The same as a list in DuckDB's SQL, for the places that take no parameter."""
        return "[" + ", ".join("'" + uri.replace("'", "''") + "'" for uri in self.uris) + "]"

    @contextmanager
    def connect(self, *, threads: int | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open a DuckDB database in memory that can read these files.

        Its memory is bounded: what does not fit goes to a temporary folder of its own.

        Args:
            threads: How many it may use; None: one for each core.
        """
        import duckdb  # late: it takes a while to load, and most commands do not read the table

        with tempfile.TemporaryDirectory(prefix="wetstream-duckdb-", ignore_cleanup_errors=True) as folder:
            config: dict[str, str | bool | int | float | list[str]] = {
                "memory_limit": MEMORY_LIMIT,
                "temp_directory": folder,
            }
            if threads is not None:
                config["threads"] = threads
            with duckdb.connect(config=config) as connection:
                connection.execute("set timezone = 'UTC'")
                if self.locations:
                    self.locations[0].attach(connection)
                yield connection
