"""HTTP connections that a hostile server cannot hold for ever: a lowest speed, and a longest head of an answer.

The time-out of httpx is for a single read, which a server satisfies by sending one byte each time.
"""

from __future__ import annotations

import functools
import logging
import ssl
import threading
import time
from typing import Any

import httpcore
import httpx

# A server that is slower than this over a whole answer, once it has kept us waiting for the time-out, counts as silent.
SLOWEST_BYTES_PER_S = 1_000
# Of the head of an answer, informational ones (100, 103) before it included.
LONGEST_HEAD_BYTES = 1 << 20

_head = threading.local()  # `bytes_left` while this thread reads the head of an answer


@functools.lru_cache(maxsize=4)
def web_client(timeout_s: float) -> httpx.Client:
    """Return the client for files on web servers; it decodes nothing and follows no redirect by itself."""
    # They log whole URLs, signatures and all.
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)
    certificates = ssl.create_default_context()
    transport = httpx.HTTPTransport(verify=certificates)
    # httpx has no argument for the network backend.
    transport._pool = httpcore.ConnectionPool(
        ssl_context=certificates, max_keepalive_connections=20, keepalive_expiry=5.0, network_backend=_WatchedBackend()
    )
    return httpx.Client(
        headers={"Accept-Encoding": "identity", "User-Agent": "wetstream"},
        timeout=timeout_s,
        follow_redirects=False,
        trust_env=False,
        transport=transport,
    )


def get_request(client: httpx.Client, url: str, headers: dict[str, str]) -> httpx.Request:
    """Return a GET request for `client.send`."""
    return client.build_request("GET", url, headers=headers, extensions={"trace": _note_head})


def _note_head(event: str, info: Any) -> None:
    if ".receive_response_headers." in event:
        _head.bytes_left = LONGEST_HEAD_BYTES if event.endswith(".started") else None


class _WatchedStream(httpcore.NetworkStream):
    """A connection that breaks off answers which come byte by byte, or whose head does not end."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream
        self._waited_s, self._received = 0.0, 0  # since the last request

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        began = time.monotonic()
        data = self._stream.read(max_bytes, timeout)
        self._waited_s += time.monotonic() - began
        self._received += len(data)
        too_slow = self._received < self._waited_s * SLOWEST_BYTES_PER_S
        if timeout is not None and self._waited_s > timeout and too_slow:
            raise httpcore.ReadTimeout(f"{self._received} bytes in {self._waited_s:.0f} s")
        left = getattr(_head, "bytes_left", None)
        if left is not None:
            _head.bytes_left = left - len(data)
            if left < len(data):
                raise httpcore.RemoteProtocolError(f"more than {LONGEST_HEAD_BYTES:,} bytes of headers")
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._waited_s, self._received = 0.0, 0
        self._stream.write(buffer, timeout)

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _WatchedStream(self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _WatchedBackend(httpcore.SyncBackend):
    def connect_tcp(self, *args: Any, **options: Any) -> httpcore.NetworkStream:
        return _WatchedStream(super().connect_tcp(*args, **options))
