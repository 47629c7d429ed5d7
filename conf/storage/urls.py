"""URLs of folders and object stores, as settings may have them."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote, urlsplit

_OBJECT_STORES: Final = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs", "az": "az", "abfs": "abfs", "abfss": "abfss"}
_REFUSED_STORES: Final = {
    "hdfs": "it has no conditional writes, by which two writers are told apart: use s3://, gs://, abfss://, or the "
    "path of a folder that all machines have mounted",
    "http": "a web server takes no writes: use s3://, gs://, abfss:// or the path of a folder",
    "memory": "its content ends with the process: use s3://, gs://, abfss:// or the path of a folder",
}
_STORES_FORM: Final = (
    "write s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/PREFIX"
)


def is_url(text: str) -> bool:
    """Whether a text is a URL rather than a path."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*:/", text) is not None


def is_object_store(location: str) -> bool:
    """Whether a location, as `normal_location` returns it, is a URL of an object store and not a path."""
    return "://" in location


def normal_location(url: str) -> str:
    """Return the one spelling of a URL of a folder or of an object store: a path for `file:`, else a URL.

    Raises:
        ValueError: It is no such URL, or its store cannot keep two writers apart; the message says what to write.
    """
    scheme, _, rest = url.partition("://")
    scheme = scheme.lower()
    if scheme.startswith("file:") or scheme == "file":
        parts = urlsplit(url)
        if parts.netloc not in ("", "localhost") or not parts.path.startswith("/") or parts.query or parts.fragment:
            raise ValueError("is no URL of a folder of this machine: write its path, as in /data/documents")
        return unquote(parts.path).rstrip("/") or "/"
    if scheme not in _OBJECT_STORES:
        why = _REFUSED_STORES.get("http" if scheme == "https" else scheme, f"it is not supported: {_STORES_FORM}")
        raise ValueError(f"{scheme}:// cannot hold documents, since {why}")
    bucket, _, key = rest.partition("/")
    if "@" in bucket and (not scheme.startswith("abfs") or bucket.count("@") > 1 or ":" in bucket.partition("@")[0]):
        raise ValueError("holds a user or a password, which belong in the environment (AWS_ACCESS_KEY_ID and so on)")
    if not re.fullmatch(r"[A-Za-z0-9._@-]+", bucket):
        raise ValueError(f"names no bucket: {_STORES_FORM}")
    names = [name for name in key.split("/") if name]
    if any(name in (".", "..") or not re.fullmatch(r"[A-Za-z0-9!_.*'()=+,@~-]+", name) for name in names):
        raise ValueError("has a prefix with other signs than letters, digits, /, -, _, . and =: choose another prefix")
    return "/".join([f"{_OBJECT_STORES[scheme]}://{bucket}", *names])
