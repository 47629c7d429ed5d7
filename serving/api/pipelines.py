"""Several pipelines behind one server: `/pipelines/NAME/` answers as `/` does, about another one.

`ServedPipelines` says which ones there are; no name of a request reaches Redis or a path before it is one of those.
Each has an application of its own, started when it is first asked for and ended when another one needs its room.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Protocol

from anyio import to_thread
from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.api.problems import problem

PREFIX = "/pipelines/"
MAX_OPEN = 8


class ServedPipelines(Protocol):
    """The pipelines that a server may show."""

    def names(self) -> list[str]:
        """Names of those that have statistics now, in order."""
        ...

    def open(self, name: str) -> tuple[FastAPI, Callable[[], None]]:
        """Make the application of one of `names`; the second result ends what belongs to it."""
        ...


class NoRoomError(Exception):
    """As many other pipelines are being looked at as may be open at once."""


@dataclass
class OpenPipeline:
    """The running application of a pipeline."""

    app: FastAPI
    ending: AsyncExitStack
    asked_at: float = field(default_factory=time.monotonic)
    requests: int = 0


class OpenPipelines:
    """The applications that were asked for, at most MAX_OPEN; used in the server's event loop."""

    def __init__(self, pipelines: ServedPipelines) -> None:
        self._pipelines = pipelines
        self._open: dict[str, OpenPipeline] = {}
        self._lock = asyncio.Lock()

    @property
    def apps(self) -> list[FastAPI]:
        """The applications. Safe from any thread."""
        return [found.app for found in list(self._open.values())]

    async def find(self, name: str) -> OpenPipeline | None:
        """Return the application of a pipeline, started now if need be; None if it is none of ours.

        Raises:
            NoRoomError: Each application that is open has requests under way.
        """
        async with self._lock:
            if name not in self._open:
                if name not in await to_thread.run_sync(self._pipelines.names):
                    return None
                if len(self._open) >= MAX_OPEN:
                    await self._make_room()
                app, end = await to_thread.run_sync(self._pipelines.open, name)
                ending = AsyncExitStack()
                ending.callback(end)
                await ending.enter_async_context(app.router.lifespan_context(app))
                self._open[name] = OpenPipeline(app, ending)
            return self._open[name]

    async def close(self) -> None:
        """End all of them."""
        async with self._lock:
            for name in list(self._open):
                await self._open.pop(name).ending.aclose()

    async def _make_room(self) -> None:
        idle = [name for name, found in self._open.items() if not found.requests]
        if not idle:
            raise NoRoomError
        longest = min(idle, key=lambda name: self._open[name].asked_at)
        await self._open.pop(longest).ending.aclose()


class PipelineSwitch:
    """ASGI middleware that hands requests below PREFIX to the application of the pipeline that they name."""

    def __init__(self, app: ASGIApp, *, opened: OpenPipelines) -> None:
        self._app = app
        self._opened = opened

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 404 or 503."""
        if scope["type"] != "http" or not scope["path"].startswith(PREFIX):
            await self._app(scope, receive, send)
            return
        name, slash, rest = scope["path"].removeprefix(PREFIX).partition("/")
        try:
            found = await self._opened.find(name) if slash else None
        except NoRoomError:
            message = f"{MAX_OPEN} other pipelines are being looked at: close a page of one"
            await problem(503, "too_many_pipelines", message, {"Retry-After": "5"})(scope, receive, send)
            return
        if found is None:
            message = f"there is no pipeline {name[:100]!r} here: /api/v1/pipelines names them"
            await problem(404, "no_pipeline", message)(scope, receive, send)
            return
        found.requests += 1
        try:
            path = f"/{rest}"
            await found.app({**scope, "path": path, "raw_path": path.encode()}, receive, send)
        finally:
            found.requests -= 1
            found.asked_at = time.monotonic()
