"""A prefix of an object store: S3 and what speaks its protocol, Azure, Google Cloud.

An object appears whole or not at all. `replace` is a conditional put, by which one of two writers is refused: what a
rename under a lock is to a folder.
"""

from __future__ import annotations

import errno
import json
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa

from sinks.storage.errors import is_of_a_store, storage_error
from sinks.storage.location import ConflictError, Content, Location
from sinks.storage.options import KINDS, split_options

if TYPE_CHECKING:
    import duckdb

HEADS = 8
LIST_ROWS = 1000
# Larger objects are sent in parts; of an upload in parts that is cut off, the parts stay until a rule of the bucket
# deletes them.
ONE_PUT_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket or container, with the options of its store; the text form holds no secret.

    Attributes:
        root: Its URL, without a slash at the end.
        options: As `store_options` gives them, sorted.
    """

    root: str
    options: tuple[tuple[str, str], ...] = field(repr=False)

    @property
    def scheme(self) -> str:
        """The scheme of its URL."""
        return self.root.partition("://")[0]

    @property
    def kind(self) -> str:
        """Whose store it is, as in KINDS."""
        return KINDS[self.scheme]


class ObjectPrefix(Location):
    """A prefix of a bucket, or one object in it."""

    def __init__(self, bucket: Bucket, key: str) -> None:
        self._bucket = bucket
        self._key = key

    def __repr__(self) -> str:
        return f"ObjectPrefix({self.uri!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ObjectPrefix) and (self._bucket, self._key) == (other._bucket, other._key)

    def __hash__(self) -> int:
        return hash((self._bucket, self._key))

    @property
    def uri(self) -> str:
        """The URL."""
        return f"{self._bucket.root}/{self._key}".rstrip("/")

    @property
    def storage_options(self) -> dict[str, str] | None:
        """Options for delta-rs, secrets included."""
        return dict(self._bucket.options)

    def __truediv__(self, name: str) -> Self:
        return type(self)(self._bucket, f"{self._key}/{name}".lstrip("/"))

    def read(self) -> Content:
        """Read this object; its version is the entity tag."""
        import obstore

        with self._translated():
            found = obstore.get(self._store, self._key)
            return Content(bytes(found.bytes()), _version(found.meta))

    def open(self) -> pa.NativeFile:
        """Read this object into memory: whoever opens one reads most of it, and each request takes its time."""
        import obstore

        with self._translated():
            return pa.BufferReader(pa.py_buffer(obstore.get(self._store, self._key).bytes()))

    @contextmanager
    def create(self) -> Iterator[pa.NativeFile]:
        """Write this object, by one request."""
        sink = pa.BufferOutputStream()
        yield sink
        self._put(sink.getvalue())

    def upload(self, file: Path) -> None:
        """Send a local file, a large one in parts."""
        import obstore

        with self._translated():
            obstore.put(self._store, self._key, file)

    def replace(self, data: bytes, version: str | None) -> None:
        """Put this object under a condition on its entity tag."""
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        mode: Any = "create" if version is None else json.loads(version)
        with self._translated():
            try:
                obstore.put(self._store, self._key, data, mode=mode)
            except (AlreadyExistsError, PreconditionError, FileNotFoundError) as error:
                # The answer to an earlier attempt may have been lost: then this is what it has written.
                with suppress(FileNotFoundError):
                    if self.read().data == data:
                        return
                raise ConflictError(str(self)) from error

    def delete(self) -> None:
        """Delete this object, if it exists."""
        import obstore

        with self._translated(), suppress(FileNotFoundError):
            obstore.delete(self._store, self._key)

    def files(self) -> Iterator[str]:
        """Names of the objects directly below this prefix."""
        return (item["path"].rpartition("/")[2] for item in self._list()["objects"])

    def folders(self) -> Iterator[str]:
        """Names of the prefixes directly below this one."""
        return (prefix.rstrip("/").rpartition("/")[2] for prefix in self._list()["common_prefixes"])

    def holds(self, beginning: str) -> bool:
        """Whether there is a file directly in this folder whose name begins like this."""
        import obstore

        with self._translated():
            for page in obstore.list(self._store, self._key, chunk_size=LIST_ROWS):
                names = [item["path"].removeprefix(f"{self._key}/") for item in page]
                if any(name.startswith(beginning) and "/" not in name for name in names):
                    return True
        return False

    def missing(self, names: Sequence[str]) -> list[str]:
        """Those of these objects that are not below this prefix."""
        with ThreadPoolExecutor(HEADS) as threads:
            return [name for name, found in zip(names, threads.map(self._has, names), strict=True) if not found]

    def make(self) -> None:
        """Do nothing: a prefix exists as soon as an object has it."""

    def remove(self) -> None:
        """Delete all objects with this prefix."""
        import obstore

        with self._translated():
            for page in obstore.list(self._store, self._key, chunk_size=LIST_ROWS):
                obstore.delete(self._store, [item["path"] for item in page])

    def check_writable(self) -> None:
        """Write an object, and see that the store keeps the conditions on which two writers are told apart."""
        probe = self / f".probe-{uuid.uuid4().hex}"
        try:
            probe.replace(b"1", None)
            first = probe.read().version
            probe.replace(b"2", first)
            for condition, version in (("If-None-Match", None), ("If-Match", first)):
                with suppress(ConflictError):
                    probe.replace(b"3", version)
                    raise OSError(
                        errno.ENOTSUP,
                        f"{self._bucket.root} takes writes whose condition ({condition}) does not hold, so two writers "
                        "could overwrite each other's commits: use a store with conditional writes, or a shared folder",
                    )
        finally:
            probe.delete()

    def attach(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Let DuckDB read through obstore."""
        from sinks.storage.duckdb_files import ObjectFiles

        connection.register_filesystem(ObjectFiles(self._bucket.root, self._store))

    def explained(self, error: Exception) -> OSError | None:
        """Return the error of the file system that an error of delta-rs, DuckDB or obstore amounts to."""
        text = str(error)
        return storage_error(text, self._bucket.root, self._bucket.kind) if is_of_a_store(text) else None

    @property
    def _store(self) -> Any:
        return _open_store(self._bucket)

    def _put(self, data: pa.Buffer) -> None:
        import obstore

        with self._translated():
            view = memoryview(data).cast("B")
            obstore.put(self._store, self._key, view, use_multipart=data.size > ONE_PUT_BYTES)

    def _has(self, name: str) -> bool:
        import obstore

        with self._translated():
            try:
                obstore.head(self._store, f"{self._key}/{name}")
            except FileNotFoundError:
                return False
        return True

    def _list(self) -> Any:
        import obstore

        with self._translated():
            return obstore.list_with_delimiter(self._store, self._key)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Raise errors of obstore as errors of the file system."""
        from obstore.exceptions import BaseError

        try:
            yield
        except (BaseError, FileNotFoundError) as error:
            found = storage_error(str(error), self._bucket.root, self._bucket.kind)
            if isinstance(error, FileNotFoundError) and not isinstance(found, NotADirectoryError):
                raise FileNotFoundError(errno.ENOENT, "it does not exist", self.uri) from error
            raise found from error


@lru_cache(maxsize=16)
def _open_store(bucket: Bucket) -> Any:
    """The store of a bucket, once for each process."""
    from obstore.store import from_url

    store, client = split_options(dict(bucket.options))
    return from_url(bucket.root, config=store, client_options=client)  # type: ignore[call-overload]


def _version(meta: Any) -> str:
    return json.dumps({name: meta[name] for name in ("e_tag", "version") if meta[name] is not None})
