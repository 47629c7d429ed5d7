"""A folder of a file system that all processes share."""

from __future__ import annotations

import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self

import pyarrow as pa

from sinks.storage.location import ConflictError, Content, Location

if TYPE_CHECKING:
    import duckdb


class Folder(Location):
    """A folder or file of the file system; usable wherever a path is."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __fspath__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        return f"Folder({str(self.path)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Folder) and self.path == other.path

    def __hash__(self) -> int:
        return hash(self.path)

    @property
    def uri(self) -> str:
        """The path."""
        return str(self.path)

    @property
    def storage_options(self) -> dict[str, str] | None:
        """None: delta-rs needs nothing but the path."""
        return None

    def __truediv__(self, name: str) -> Self:
        return type(self)(self.path / name)

    def read(self) -> Content:
        """Read this file; its version is the inode that the last rename has put there."""
        with self.path.open("rb") as file:
            return Content(file.read(), _version(os.fstat(file.fileno())))

    def open(self) -> pa.NativeFile:
        """Open this file."""
        return pa.OSFile(str(self.path))

    @contextmanager
    def create(self) -> Iterator[IO[bytes]]:
        """Write this file and flush it to disk."""
        with self.path.open("xb") as file:
            yield file
            file.flush()
            # It must be on disk before the Delta log refers to it, in case of a power failure.
            os.fsync(file.fileno())

    def upload(self, file: Path) -> None:
        """Copy a local file here, and flush it to disk."""
        with file.open("rb") as source, self.create() as target:
            shutil.copyfileobj(source, target)

    def replace(self, data: bytes, version: str | None) -> None:
        """Rename a complete file to this name, under a lock."""
        temporary = self.path.with_name(f".{self.path.name}.{uuid.uuid4().hex}")
        try:
            with _locked(self.path.with_name(f".{self.path.name}.lock")):
                try:
                    found = _version(self.path.stat())
                except FileNotFoundError:
                    found = None
                if found != version:
                    raise ConflictError(str(self))
                with temporary.open("xb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                temporary.replace(self.path)
                _sync_folder(self.path.parent)
        finally:
            temporary.unlink(missing_ok=True)

    def delete(self) -> None:
        """Delete this file, if it exists."""
        self.path.unlink(missing_ok=True)

    def files(self) -> Iterator[str]:
        """Names of the files directly in this folder."""
        return self._names(folders=False)

    def folders(self) -> Iterator[str]:
        """Names of the folders directly in this folder."""
        return self._names(folders=True)

    def holds(self, beginning: str) -> bool:
        """Whether there is a file directly in this folder whose name begins like this."""
        return any(name.startswith(beginning) for name in self.files())

    def missing(self, names: Sequence[str]) -> list[str]:
        """Those of these files that are not in this folder."""
        return [name for name in names if not (self.path / name).is_file()]

    def make(self) -> None:
        """Make this folder and its parents."""
        self.path.mkdir(parents=True, exist_ok=True)

    def remove(self) -> None:
        """Delete this folder and everything in it, if it exists."""
        if self.path.exists():
            shutil.rmtree(self.path)

    def check_writable(self) -> None:
        """Write and delete an empty file."""
        probe = self.path / f".{uuid.uuid4().hex}"
        probe.touch()
        probe.unlink()

    def attach(self, connection: duckdb.DuckDBPyConnection) -> None:
        """DuckDB opens paths itself."""

    def explained(self, error: Exception) -> OSError | None:
        """Errors of the file system explain themselves."""
        return None

    def _names(self, *, folders: bool) -> Iterator[str]:
        if self.path.is_dir():
            with os.scandir(self.path) as entries:
                for entry in entries:
                    if entry.is_dir() == folders:
                        yield entry.name


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock of this file, where the file system has locks; a pipeline's lease keeps writers apart in any case."""
    with path.open("ab") as file:
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _sync_folder(path: Path) -> None:
    """Write the names of a folder to disk; some network file systems cannot, and need not."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _version(status: os.stat_result) -> str:
    return f"{status.st_ino}-{status.st_mtime_ns}-{status.st_size}"
