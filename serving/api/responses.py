"""JSON responses with ETags, made once for each version of the numbers, with bounds on the memory they take."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from inspect import isawaitable
from typing import Any

from anyio import CapacityLimiter, to_thread
from fastapi import Request, Response
from starlette.types import Receive, Scope, Send

CACHE_BYTES = 32 << 20
# Larger answers are not kept: a few of them would drive out everything else.
CACHED_ANSWER_BYTES = 4 << 20
# What an entry takes beside its URL, version and body.
ENTRY_BYTES = 500
MAX_ANSWER_BYTES = 16 << 20
# Bodies that are being sent: a client that reads slowly keeps its own in memory.
MAX_UNSENT_BYTES = 128 << 20
CHUNK_BYTES = 64 << 10

Make = Callable[[], Mapping[str, Any] | Awaitable[Mapping[str, Any]]]


class AnswerTooLargeError(Exception):
    """The answer would be larger than the server sends."""

    def __init__(self, size: int) -> None:
        super().__init__(
            f"the answer would be {size / 1e6:,.0f} MB, and at most {MAX_ANSWER_BYTES >> 20} MiB are sent: "
            "ask for fewer rows (limit)"
        )


class BusyError(Exception):
    """Too many answers are waiting for their clients to read them."""


class ResponseCache:
    """Makes responses, and keeps answers, least recently used first out, within CACHE_BYTES.

    Answers that take a thread to make share few of them, so that the memory they need at once is bounded.
    """

    def __init__(self, *, cache_bytes: int = CACHE_BYTES, max_unsent_bytes: int = MAX_UNSENT_BYTES) -> None:
        self._cache_bytes = cache_bytes
        self._max_unsent_bytes = max_unsent_bytes
        self._answers: OrderedDict[str, tuple[str, bytes]] = OrderedDict()
        self.size_bytes = 0
        self.unsent_bytes = 0

    async def respond(
        self, request: Request, version: str, make: Make, *, limiter: CapacityLimiter | None = None
    ) -> Response:
        """Return the response to a request.

        Args:
            request: The answer depends on nothing but its URL and `version`.
            version: Version of the numbers in the answer.
            make: Makes the answer.
            limiter: Given for answers that wait for something or take long: they are made in a thread of this limit.

        Raises:
            AnswerTooLargeError: The answer would be larger than MAX_ANSWER_BYTES.
            BusyError: Too many bytes are waiting to be read by other clients.
        """
        etag = f'"{hashlib.blake2b(version.encode(), digest_size=12).hexdigest()}"'
        headers = {"ETag": etag, "Cache-Control": "no-cache"}
        if _matches(request.headers.get("if-none-match", ""), etag):
            return Response(status_code=304, headers=headers)
        url = f"{request.url.path}?{request.url.query}"
        body = self._get(url, version)
        if body is None:
            body = await _encoded(make, limiter)
            self._keep(url, version, body)
        if self.unsent_bytes + len(body) > self._max_unsent_bytes:
            raise BusyError("too many answers wait for slow clients to read them: try again")
        return _Body(self, body, headers)

    def _get(self, url: str, version: str) -> bytes | None:
        kept = self._answers.get(url)
        if kept is None or kept[0] != version:
            return None
        self._answers.move_to_end(url)
        return kept[1]

    def _keep(self, url: str, version: str, body: bytes) -> None:
        self._forget(url)
        if len(body) > CACHED_ANSWER_BYTES:
            return
        self._answers[url] = (version, body)
        self.size_bytes += _size(url, version, body)
        while self.size_bytes > self._cache_bytes:
            self._forget(next(iter(self._answers)))

    def _forget(self, url: str) -> None:
        kept = self._answers.pop(url, None)
        if kept is not None:
            self.size_bytes -= _size(url, *kept)


class _Body(Response):
    """Sends a body in chunks, so that the server holds one copy of it however slowly its clients read."""

    media_type = "application/json"

    def __init__(self, cache: ResponseCache, body: bytes, headers: Mapping[str, str]) -> None:
        super().__init__(body, headers=headers)
        self._cache = cache

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if len(self.body) <= CHUNK_BYTES:
            await super().__call__(scope, receive, send)
            return
        body = memoryview(self.body)
        self._cache.unsent_bytes += len(body)
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            for begin in range(0, len(body), CHUNK_BYTES):
                more = begin + CHUNK_BYTES < len(body)
                chunk = bytes(body[begin : begin + CHUNK_BYTES])
                await send({"type": "http.response.body", "body": chunk, "more_body": more})
        finally:
            self._cache.unsent_bytes -= len(body)


async def _encoded(make: Make, limiter: CapacityLimiter | None) -> bytes:
    if limiter is not None:
        return await to_thread.run_sync(lambda: to_json(make()), limiter=limiter)
    made = make()
    return to_json(await made if isawaitable(made) else made)


def to_json(value: Any) -> bytes:
    """Return compact JSON; what is no Unicode (a broken URL) is replaced. Raises AnswerTooLargeError."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    if len(text) > MAX_ANSWER_BYTES:
        raise AnswerTooLargeError(len(text))
    return text.encode("utf-8", "replace")


def _size(url: str, version: str, body: bytes) -> int:
    return len(url) + len(version) + len(body) + ENTRY_BYTES


def _matches(condition: str, etag: str) -> bool:
    tags = [part.strip().removeprefix("W/") for part in condition.split(",")]
    return etag in tags or "*" in tags
