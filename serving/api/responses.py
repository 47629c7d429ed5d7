"""From an answer to a response: ETag, 304, and each answer made once for each movement of the numbers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from inspect import isawaitable
from typing import Any

from fastapi import Request, Response
from starlette.concurrency import run_in_threadpool

CACHED = 512


class ResponseCache:
    """Makes responses. An answer is kept until the version that it was made for has passed."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[str, bytes]] = {}

    async def give(
        self,
        request: Request,
        version: str,
        make: Callable[[], Mapping[str, Any] | Awaitable[Mapping[str, Any]]],
        *,
        asks: bool = False,
    ) -> Response:
        """The response to a request whose answer depends on its URL and `version` alone; `asks`: `make` waits for
        something or has much to reckon, and runs in a thread (which takes two wake-ups).
        """
        etag = f'"{hashlib.blake2b(version.encode(), digest_size=12).hexdigest()}"'
        headers = {"ETag": etag, "Cache-Control": "no-cache"}
        if _matches(request.headers.get("if-none-match", ""), etag):
            return Response(status_code=304, headers=headers)
        url = f"{request.url.path}?{request.url.query}"
        kept = self._kept.get(url)
        if kept is None or kept[0] != version:
            made = await run_in_threadpool(make) if asks else make()
            body = to_json(await made if isawaitable(made) else made)
            if len(self._kept) >= CACHED:
                self._kept.clear()
            self._kept[url] = kept = (version, body)
        return Response(kept[1], headers=headers, media_type="application/json")


def to_json(value: Any) -> bytes:
    """As compact as it goes; what is no Unicode (a broken URL) is replaced, not refused."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode("utf-8", "replace")


def _matches(condition: str, etag: str) -> bool:
    given = [part.strip().removeprefix("W/") for part in condition.split(",")]
    return etag in given or "*" in given
