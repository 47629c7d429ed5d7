"""Objects as DuckDB reads them: a small read-only file system of fsspec, which is what DuckDB accepts.

DuckDB's own extension for S3 would have to be downloaded, and obstore's for fsspec keeps Python's lock while it waits
for an answer, which would hold up all other threads of the process.
"""

from __future__ import annotations

import io
from datetime import datetime
from typing import Any

import fsspec
import obstore


class ObjectFiles(fsspec.AbstractFileSystem):
    """Objects of one bucket, by their URLs. Objects that are read here never change.

    Args:
        root: URL of the bucket.
        store: Its store.
    """

    cachable = False

    def __init__(self, root: str, store: Any) -> None:
        super().__init__()
        self.protocol = root.partition("://")[0]
        self._root = root
        self._store = store
        self._metas: dict[str, Any] = {}

    def info(self, path: str, **_options: Any) -> dict[str, Any]:
        """Size and time of an object. Raises FileNotFoundError."""
        meta = self._meta(path)
        return {"name": path, "type": "file", "size": meta["size"], "modified": meta["last_modified"]}

    def modified(self, path: str) -> datetime:
        """When the object was written."""
        at: datetime = self._meta(path)["last_modified"]
        return at

    def ls(self, path: str, detail: bool = True, **_options: Any) -> list[Any]:
        """The object itself: there is nothing to look for."""
        return [self.info(path)] if detail else [path]

    def glob(self, path: str, **_options: Any) -> list[str]:
        """The object itself: names of objects hold no wildcards."""
        return [path] if self.exists(path) else []

    def open(self, path: str, mode: str = "rb", **_options: Any) -> _Object:
        """Open an object for reading."""
        return _Object(self._store, self._key(path), self._meta(path)["size"])

    def _meta(self, path: str) -> Any:
        key = self._key(path)
        if key not in self._metas:
            self._metas[key] = obstore.head(self._store, key)
        return self._metas[key]

    def _key(self, path: str) -> str:
        return path.removeprefix(f"{self._root}/")


class _Object(io.RawIOBase):
    """An object that is open for reading: one request for each read."""

    def __init__(self, store: Any, key: str, size: int) -> None:
        self._store = store
        self._key = key
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence] + offset
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        left = self._size - self._at
        length = left if size is None or size < 0 else min(size, left)
        if length <= 0:
            return b""
        data = bytes(obstore.get_range(self._store, self._key, start=self._at, length=length))
        self._at += len(data)
        return data
