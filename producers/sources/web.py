"""Files on web servers, byte for byte as they are stored.

Nothing is decoded on the way: a .gz file that a server labels `Content-Encoding: gzip` is still the file, and ranges
count its stored bytes. Every answer is checked to be the range that was asked for, of the file that reading began with.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from conf.errors import counted
from producers.sources.files import EDGE_BYTES, SourceReadError
from producers.sources.retry import HttpStatusError, NoRangesError, SourceChangedError
from producers.sources.urls import origin, public_url

if TYPE_CHECKING:
    import httpx

MAX_REDIRECTS = 10
CHUNK_BYTES = 1 << 16
CONTENT_RANGE = re.compile(r"\s*bytes\s+([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)\s*", re.IGNORECASE)
EMPTY_RANGE = re.compile(r"\s*bytes\s+\*/0+\s*", re.IGNORECASE)
LENGTH = re.compile(r"[0-9]{1,18}")


class WebObject:
    """A file on a web server.

    Args:
        url: Its http or https URL; user and password in it are sent as basic authentication.
        timeout_s: How long the server may be silent.
        confined: Whether redirects must stay on the URL's own server.
        allow_internal: Whether redirects may lead from a public server to an address of this machine or network.
    """

    def __init__(self, url: str, timeout_s: float, *, confined: bool = False, allow_internal: bool = False) -> None:
        self._url = url
        self._confined = confined
        self._allow_internal = allow_internal
        from producers.http_client import web_client  # httpx takes a while to import

        self._client = web_client(timeout_s)
        self._size: int | None = None
        self._edge = b""
        self._version = ""
        self.ranges = True
        # A whole answer to the request for a range, as far as it was read: ranges further on are read from it.
        self._whole: tuple[httpx.Response, Iterator[bytes]] | None = None
        self._whole_at = 0
        self._whole_rest = b""

    def size(self) -> int:
        """Return the size in bytes, and learn whether the server has byte ranges.

        Raises:
            HttpStatusError: The server refuses.
            SourceReadError: It does not tell the size.
        """
        with self._get({"Range": f"bytes=0-{EDGE_BYTES - 1}"}) as response:
            if response.status_code == 416:
                # (An empty file has no range at all.)
                if not EMPTY_RANGE.fullmatch(response.headers.get("Content-Range", "")):
                    raise HttpStatusError(416, response.headers)
                self._size = 0
                return 0
            if response.status_code == 206:
                begin, end, total = _content_range(response)
                if begin != 0 or total is None:
                    raise SourceReadError("the server does not tell its size: download it and ingest the file")
                self._edge = _exactly(response.iter_raw(CHUNK_BYTES), min(end + 1, EDGE_BYTES, total))
                self._size = total
            else:
                self.ranges = False
                length = response.headers.get("Content-Length", "")
                if not LENGTH.fullmatch(length):
                    raise SourceReadError("the server does not tell its size: download it and ingest the file")
                self._size = int(length)
            self._version = _version(response)
        return self._size

    def read(self, begin: int, end: int) -> bytes:
        """Return the bytes from `begin` to `end`, exactly.

        Raises:
            HttpStatusError: The server refuses.
            SourceChangedError: It has another file there now.
            ConnectionError: Fewer bytes came.
        """
        if end <= len(self._edge):
            return self._edge[begin:end]
        if self._whole is not None:
            if self._whole_at <= begin:
                return self._read_whole(begin, end)
            self.close()
        with self._get({"Range": f"bytes={begin}-{end - 1}"}, keep_whole=True) as response:
            if response.status_code == 416:
                raise SourceChangedError(f"it has become shorter than {self._size:,} bytes while it was read")
            if response.status_code == 200:
                self._check_whole(response)
                self._whole = (response, response.iter_raw(CHUNK_BYTES))
                self._whole_at, self._whole_rest = 0, b""
                return self._read_whole(begin, end)
            first, last, total = _content_range(response)
            self._check(response, total)
            if first != begin or last > end - 1:
                raise ConnectionError(f"the server gave bytes {first:,} to {last + 1:,}")
            return _exactly(response.iter_raw(CHUNK_BYTES), end - begin)

    def stream(self, begin: int, end: int) -> bytes:
        """Return bytes of a server without ranges: read on from where the last call ended, or else from the front."""
        if self._whole is None or self._whole_at > begin:
            self.close()
            with self._get({}, keep_whole=True) as response:
                self._check_whole(response)
                self._whole = (response, response.iter_raw(CHUNK_BYTES))
                self._whole_at, self._whole_rest = 0, b""
        return self._read_whole(begin, end)

    def close(self) -> None:
        """End the open answer, if any."""
        whole, self._whole = self._whole, None
        if whole is not None:
            whole[0].close()

    def _read_whole(self, begin: int, end: int) -> bytes:
        assert self._whole is not None
        parts: list[bytes] = []
        try:
            while self._whole_at < end:
                if not self._whole_rest:
                    self._whole_rest = next(self._whole[1], b"")
                    if not self._whole_rest:
                        raise ConnectionError(
                            f"it ended after {self._whole_at:,} of {counted(self._size or 0, 'byte')}"
                        )
                wanted = (begin if self._whole_at < begin else end) - self._whole_at
                part, self._whole_rest = self._whole_rest[:wanted], self._whole_rest[wanted:]
                if self._whole_at >= begin:
                    parts.append(part)
                self._whole_at += len(part)
        except BaseException:
            self.close()
            raise
        return b"".join(parts)

    @contextmanager
    def _get(self, headers: dict[str, str], *, keep_whole: bool = False) -> Iterator[httpx.Response]:
        """The answer to a GET; closed at the end, but for a whole one that is kept."""
        from producers.http_client import get_request

        response = self._follow(get_request(self._client, self._url, headers))
        try:
            if response.status_code not in (200, 206, 416):
                raise HttpStatusError(response.status_code, response.headers)
            yield response
        finally:
            if not (keep_whole and self._whole is not None and self._whole[0] is response):
                response.close()

    def _follow(self, request: httpx.Request) -> httpx.Response:
        for _ in range(MAX_REDIRECTS):
            response = self._client.send(request, stream=True)
            if response.next_request is None:
                return response
            response.close()
            request = response.next_request
            self._check_redirect(str(request.url))
        raise SourceReadError(f"the server redirects more than {MAX_REDIRECTS} times")

    def _check_redirect(self, target: str) -> None:
        """Raise SourceReadError if a redirect leads where this file may not be read from."""
        scheme, host = _scheme_and_host(target)
        shown = f"the server redirects to {public_url(target)}"
        if scheme not in ("http", "https"):
            raise SourceReadError(f"{shown}, which is no http or https URL")
        own_scheme, own_host = _scheme_and_host(self._url)
        if self._confined and origin(target) != origin(self._url):
            raise SourceReadError(
                f"{shown}: a remote listing may only name files of its own server (--allow-foreign-sources takes it "
                "all the same)"
            )
        if own_scheme == "https" and scheme == "http":
            raise SourceReadError(f"{shown}, from https to http, where anybody on the way could change the file")
        if _is_internal(host) and not _is_internal(own_host) and not self._allow_internal:
            raise SourceReadError(
                f"{shown}, an address inside this network (--allow-foreign-sources takes it all the same)"
            )

    def _check_whole(self, response: httpx.Response) -> None:
        length = response.headers.get("Content-Length", "")
        if length != str(self._size):
            # A cache may hold the beginning of a file only: asked again, it may give all of it.
            raise ConnectionError(f"an answer of {length or 'unknown'} instead of {self._size} bytes")
        self._check(response, None)

    def _check(self, response: httpx.Response, total: int | None) -> None:
        """Raise SourceChangedError unless this answer is about the file that `size` was about."""
        if total is not None and total != self._size:
            raise SourceChangedError(
                f"it has changed from {self._size:,} to {counted(total, 'byte')} while it was read"
            )
        version = _version(response)
        if not version or not self._version or version == self._version:
            return
        if not (_is_weak(version) or _is_weak(self._version)):
            raise SourceChangedError("it has changed while it was read (another ETag or time of change)")
        # Servers behind one name may give weak tags of their own to the same file.
        with self._get({"Range": f"bytes=0-{EDGE_BYTES - 1}"}) as again:
            is_same = again.status_code == 206 and _version(again) == version
            edge = _exactly(again.iter_raw(CHUNK_BYTES), len(self._edge)) if is_same else b""
        if not edge or edge != self._edge:
            raise SourceChangedError("it has changed while it was read (another weak ETag, another beginning)")
        self._version = version


def web_exists(url: str, timeout_s: float) -> bool:
    """Return whether a web server has something at this URL. Raises what httpx raises."""
    file = WebObject(url, timeout_s)
    with file._get({"Range": "bytes=0-0"}) as response:
        return response.status_code in (200, 206, 416)


def _version(response: httpx.Response) -> str:
    """What the server calls this version of the file; empty if it does not say."""
    return str(response.headers.get("ETag") or response.headers.get("Last-Modified", ""))


def _is_weak(version: str) -> bool:
    return version.startswith("W/")


def _content_range(response: httpx.Response) -> tuple[int, int, int | None]:
    match = CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if match is None:
        raise NoRangesError("the server gives no byte ranges")
    return int(match[1]), int(match[2]), None if match[3] == "*" else int(match[3])


def _exactly(chunks: Iterator[bytes], size: int) -> bytes:
    parts: list[bytes] = []
    came = 0
    for chunk in chunks:
        parts.append(chunk)
        came += len(chunk)
        if came >= size:
            break
    if came != size:
        raise ConnectionError(f"{came:,} of {counted(size, 'byte')} came")
    return b"".join(parts)


def _scheme_and_host(url: str) -> tuple[str, str]:
    import httpx

    parsed = httpx.URL(url)
    return parsed.scheme, parsed.host


def _is_internal(host: str) -> bool:
    """Whether a host is named by an address, or a name, that only this machine or its network has."""
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        labels = host.lower().rstrip(".").split(".")
        return len(labels) == 1 or labels[-1] in ("localhost", "local", "internal")
