"""Live updates as server-sent events: one event for each movement of the numbers, the same bytes for every client.

A client that reads slowly misses the events between, never the last one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from serving.api.poller import LiveState, StatisticsPoller
from serving.api.responses import to_json

HEARTBEAT_S = 10.0
# Between two events to one client. While micro-batches rush by, each would only be overtaken by the next.
SPACING_S = 0.5
RETRY_MS = 1_000


class Events:
    """Spreads the state of `live` to all clients. Made and used in the server's event loop."""

    def __init__(self, live: StatisticsPoller) -> None:
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Condition()
        self._number = 1
        self._pipeline = live.pipeline
        self._event = event_of(live.state, self._pipeline)
        self._ended = False
        self.clients = 0
        live.on_change.append(self._tell)

    def _tell(self, state: LiveState) -> None:
        event = event_of(state, self._pipeline)
        self._soon(lambda: self._put(event))

    def _soon(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(lambda: self._loop.create_task(work()))

    async def _put(self, event: bytes) -> None:
        async with self._changed:
            self._event, self._number = event, self._number + 1
            self._changed.notify_all()

    def end(self) -> None:
        """Let all clients go: the server stops. Safe from any thread."""
        self._soon(self._end)

    async def _end(self) -> None:
        async with self._changed:
            self._ended = True
            self._changed.notify_all()

    async def stream(self) -> AsyncIterator[bytes]:
        """What one client gets: the present state at once, then each change; a comment when nothing happens."""
        self.clients += 1
        seen = 0
        try:
            yield f"retry: {RETRY_MS}\n\n".encode()
            while not self._ended:
                if seen != self._number:
                    seen, event = self._number, self._event
                    yield event
                    await asyncio.sleep(SPACING_S)
                    continue
                try:
                    async with asyncio.timeout(HEARTBEAT_S), self._changed:
                        await self._changed.wait_for(lambda: self._ended or self._number != seen)  # noqa: B023
                except TimeoutError:
                    yield b": still here\n\n"
        finally:
            self.clients -= 1


def event_of(state: LiveState, pipeline: str) -> bytes:
    """An event: {pipeline, version, at, away, missing, since, stats, stream, snapshot, batch}."""
    stats: dict[str, Any] | None = state.reading.stats() if state.reading else None
    data = {
        "pipeline": pipeline,
        "version": state.version,
        "at": time.time(),
        "away": state.away or None,
        "missing": state.missing or None,
        "since": state.since,
        "stats": stats,
        "stream": state.stream or None,
        "snapshot": state.copied,
        "batch": state.batches[0] if state.batches else None,
    }
    return b"event: state\ndata: " + to_json(data) + b"\n\n"
