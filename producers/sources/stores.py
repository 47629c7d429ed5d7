"""Remote stores through fsspec: one file system for a kind of URL, made as the settings say.

S3 needs the extra `s3`; every other protocol works as soon as the package that fsspec names for it is installed, with
options from fsspec's own configuration (~/.config/fsspec/*.json, FSSPEC_… variables). Files on web servers are read
without fsspec, by `web`; it only lists their folders, and reads them inside a chain.
"""

from __future__ import annotations

from typing import Any

from conf.errors import ExplainedError, counted
from conf.settings import ProducerSettings
from producers.sources.files import SourceReadError
from producers.sources.urls import public_url, redact, scheme_of, split_chain

STREAM_BYTES = 1 << 18
EXTRAS = {"s3": "s3", "s3a": "s3"}


class StoreError(ExplainedError):
    """A kind of URL cannot be opened here; the message says what to install or set."""


def open_store(url: str, settings: ProducerSettings) -> tuple[Any, str]:
    """The fsspec file system of a URL, and the path on it. Raises StoreError."""
    import fsspec

    links = split_chain(url)
    scheme = scheme_of(url) if len(links) == 1 else ""
    options = _options(scheme, url, settings)
    try:
        if scheme:
            # Not url_to_fs, which takes any `::` for a chain, also that of a key.
            kind = fsspec.get_filesystem_class(scheme)
            url = scheme + url[len(scheme) :]
            fs = fsspec.filesystem(scheme, **{**kind._get_kwargs_from_urls(url), **options})
            path = kind._strip_protocol(url)
        else:
            fs, path = fsspec.core.url_to_fs(url)
    except ImportError as error:
        extra = EXTRAS.get(scheme)
        remedy = f"pip install 'wetstream[{extra}]'" if extra else redact(str(error))
        raise StoreError(f"{public_url(url)}: a package for {scheme}:// is missing: {remedy}") from error
    except OSError:
        raise
    except Exception as error:  # of a library: a damaged archive, a wrong option, a name that it cannot parse
        raise StoreError(f"{public_url(url)}: {redact(str(error)) or type(error).__name__}") from error
    return fs, path


class StoreObject:
    """An object of a store, or a file on any other server, through fsspec. Raises StoreError when made."""

    def __init__(self, url: str, settings: ProducerSettings) -> None:
        self._fs, self._path = open_store(url, settings)
        self._size = 0
        self.ranges = True
        self._stream: Any = None
        self._stream_at = 0

    def size(self) -> int:
        """Return the size in bytes. Raises SourceReadError if the server does not tell it."""
        info: dict[str, Any] = self._fs.info(self._path)
        if not isinstance(info.get("size"), int):
            raise SourceReadError("the server does not tell its size: download it and ingest the file")
        self._size = info["size"]
        self.ranges = info.get("partial") is not False
        return self._size

    def read(self, begin: int, end: int) -> bytes:
        """Return the bytes from `begin` to `end`, exactly. Raises ConnectionError if fewer come."""
        with self._fs.open(self._path, "rb", cache_type="none", size=self._size) as file:
            file.seek(begin)
            block: bytes = file.read(end - begin)
        if len(block) != end - begin:
            raise ConnectionError(f"{len(block):,} of {counted(end - begin, 'byte')} came")
        return block

    def stream(self, begin: int, end: int) -> bytes:
        """Return the same without ranges: by reading on, or again from the front."""
        parts: list[bytes] = []
        try:
            if self._stream is None or self._stream_at > begin:
                self.close()
                self._stream = self._fs.open(self._path, "rb", block_size=0)
            while self._stream_at < end:
                wanted = (begin if self._stream_at < begin else end) - self._stream_at
                part: bytes = self._stream.read(min(wanted, STREAM_BYTES))
                if not part:
                    raise ConnectionError(f"it ended after {self._stream_at:,} of {counted(self._size, 'byte')}")
                if self._stream_at >= begin:
                    parts.append(part)
                self._stream_at += len(part)
        except BaseException:
            self.close()
            raise
        return b"".join(parts)

    def close(self) -> None:
        """Close the open stream, if any."""
        stream, self._stream, self._stream_at = self._stream, None, 0
        if stream is not None:
            stream.close()


def _options(scheme: str, url: str, settings: ProducerSettings) -> dict[str, Any]:
    timeout_s = settings.source_timeout_s
    if scheme in ("http", "https"):
        import aiohttp

        return {
            "use_listings_cache": False,
            "client_kwargs": {
                # Files as they are stored: their own compression is ours to undo, and ranges count its bytes.
                "headers": {"Accept-Encoding": "identity"},
                "auto_decompress": False,
                "timeout": aiohttp.ClientTimeout(total=None, sock_connect=timeout_s, sock_read=timeout_s),
            },
        }
    if scheme in ("s3", "s3a"):
        return {
            "use_listings_cache": False,
            "version_aware": "?versionId=" in url,
            "anon": settings.s3_anonymous,
            "endpoint_url": settings.s3_endpoint or None,
            "config_kwargs": {"connect_timeout": timeout_s, "read_timeout": timeout_s, "retries": {"max_attempts": 1}},
        }
    return {}
