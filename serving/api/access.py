"""Decides which requests are answered, and sets the security headers of every response.

Without a token only this machine is served, and only under its own names: otherwise a stranger's page could have its
name resolve to 127.0.0.1 and read along (DNS rebinding). With a token, whoever sends it may read. The page itself holds
no data and is open.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def is_loopback(host: str) -> bool:
    """Tell whether an address to listen on can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class AccessMiddleware:
    """ASGI middleware that checks the token, or the Host header if there is no token."""

    def __init__(self, app: ASGIApp, *, token: str = "", hosts: Iterable[str] = LOCAL_NAMES) -> None:
        self._app = app
        self._token = token.encode()
        self._hosts = frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 400 or 401."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        app = self._refusal(scope) or self._app
        await app(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> ASGIApp | None:
        headers = Headers(scope=scope)
        if not self._token:
            host = headers.get("host", "").lower()
            name = host if host.endswith("]") else host.rsplit(":", 1)[0]
            if name in self._hosts:
                return None
            message = f"unknown Host {host[:100]!r}: use http://127.0.0.1, or set serve.token to serve other names"
            return JSONResponse({"error": "bad_host", "message": message}, 400)
        if _is_open(scope["path"]) or scope["method"] == "OPTIONS":
            return None
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), self._token):
            return None
        message = "this address requires the header `Authorization: Bearer TOKEN` (setting serve.token)"
        return JSONResponse({"error": "no_token", "message": message}, 401, {"WWW-Authenticate": "Bearer"})


def _is_open(path: str) -> bool:
    """The page holds no data, and probes learn nothing but whether the server is ready."""
    return path in ("/", "/favicon.ico", "/health", "/ready") or path.startswith("/page/")
