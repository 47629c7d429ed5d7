"""Where documents are: a folder, or a prefix of an object store, behind one interface that reads like `pathlib`.

Nothing above this package knows which of the two it has. Both keep the same promises: a file appears complete or not at
all and is durable once `create` or `replace` has returned, and of two processes that `replace` the same version, one
wins and the other gets a `ConflictError`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import pyarrow as pa

from conf.errors import ExplainedError

if TYPE_CHECKING:
    import duckdb


class ConflictError(Exception):
    """The file is no longer, or not yet, at the version that was to be replaced."""


class Content(NamedTuple):
    """A whole file and its version, which changes whenever the file is replaced."""

    data: bytes
    version: str


class Location(ABC):
    """A place for files, or one file there; picklable, so that tasks on other machines can write to it.

    All methods raise `OSError` when the place cannot be reached or used (`FileNotFoundError`, `PermissionError` and
    others), with a `strerror` that a user understands.
    """

    @property
    @abstractmethod
    def uri(self) -> str:
        """The absolute path or URL, as delta-rs and DuckDB take it. It never holds a secret."""

    @property
    @abstractmethod
    def storage_options(self) -> dict[str, str] | None:
        """Options for delta-rs and Polars; they may hold secrets. None for a folder."""

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.uri.rstrip("/").rpartition("/")[2]

    def __str__(self) -> str:
        return self.uri

    @abstractmethod
    def __truediv__(self, name: str) -> Self:
        """The file or folder `name` below this one; it may hold slashes."""

    # One file

    @abstractmethod
    def read(self) -> Content:
        """Read this file. Raises FileNotFoundError, IsADirectoryError."""

    @abstractmethod
    def open(self) -> pa.NativeFile:
        """Open this file for reading at random. Raises FileNotFoundError."""

    @abstractmethod
    def create(self) -> AbstractContextManager[Any]:
        """Write this file, which must not exist yet; it is there, and durable, when the block ends without an error."""

    @abstractmethod
    def upload(self, file: Path) -> None:
        """Write this file with the content of a local one, of any size."""

    @abstractmethod
    def replace(self, data: bytes, version: str | None) -> None:
        """Replace this file atomically.

        Args:
            data: The new content.
            version: The version that `read` has returned; None: the file must not exist.

        Raises:
            ConflictError: It has another version by now.
        """

    @abstractmethod
    def delete(self) -> None:
        """Delete this file, if it exists."""

    # A folder of files

    @abstractmethod
    def files(self) -> Iterator[str]:
        """Names of the files directly in this folder, in no order; none if it does not exist."""

    @abstractmethod
    def folders(self) -> Iterator[str]:
        """Names of the folders directly in this folder, in no order; none if it does not exist."""

    @abstractmethod
    def holds(self, beginning: str) -> bool:
        """Whether there is a file directly in this folder whose name begins like this."""

    @abstractmethod
    def missing(self, names: Sequence[str]) -> list[str]:
        """Those of these files that are not in this folder."""

    @abstractmethod
    def make(self) -> None:
        """Make this folder; it must be empty or absent."""

    @abstractmethod
    def remove(self) -> None:
        """Delete this folder and everything in it, if it exists."""

    @abstractmethod
    def check_writable(self) -> None:
        """Write and delete a file in this folder; raises OSError if that fails or could not be relied on."""

    @abstractmethod
    def attach(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Let a connection of DuckDB read files by their `uri`."""

    @abstractmethod
    def explained(self, error: Exception) -> OSError | None:
        """Return what an error of delta-rs or DuckDB says about this place, if it is not about the table's content."""

    @contextmanager
    def explaining(self) -> Iterator[None]:
        """Context in which another library uses this place; raises its errors about the place as OSError."""
        try:
            yield
        except ExplainedError:
            raise
        except Exception as error:
            cause = self.explained(error)
            if cause is None:
                raise
            raise cause from error
