"""Live updates as server-sent events: one event for each change, the same bytes for every client.

A client that reads slowly misses events, never the last one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from serving.api.live_state import LiveState
from serving.api.poller import StatisticsPoller
from serving.api.responses import to_json

HEARTBEAT_S = 10.0
# Between two events to one client: while micro-batches rush by, each would only be overtaken by the next.
SPACING_S = 0.5
RETRY_MS = 1_000


class EventSource:
    """Sends the state of a poller to all clients. Made and used in the server's event loop."""

    def __init__(self, poller: StatisticsPoller, *, max_clients: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Condition()
        self._number = 1
        self._pipeline = poller.pipeline
        self._event = event_of(poller.state, self._pipeline)
        self._ended = False
        # A task that nothing refers to may be collected before it has run.
        self._tasks: set[asyncio.Task[None]] = set()
        self.clients = 0
        self.max_clients = max_clients
        poller.on_change.append(self._on_change)

    @property
    def is_full(self) -> bool:
        """Whether no more clients are accepted."""
        return self.clients >= self.max_clients

    def end(self) -> None:
        """End all streams, because the server stops. Safe from any thread."""
        self._soon(self._end)

    async def stream(self) -> AsyncIterator[bytes]:
        """Yield what one client gets: the current state, then each change; a comment when nothing happens."""
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
                    yield b": heartbeat\n\n"
        finally:
            self.clients -= 1

    def _on_change(self, state: LiveState) -> None:
        event = event_of(state, self._pipeline)
        self._soon(lambda: self._put(event))

    def _soon(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        def begin() -> None:
            task = self._loop.create_task(work())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(begin)

    async def _put(self, event: bytes) -> None:
        async with self._changed:
            self._event, self._number = event, self._number + 1
            self._changed.notify_all()

    async def _end(self) -> None:
        async with self._changed:
            self._ended = True
            self._changed.notify_all()


def event_of(state: LiveState, pipeline: str) -> bytes:
    """Return the event {pipeline, version, at, away, missing, since, stats, stream, snapshot, batch}."""
    data = {
        "pipeline": pipeline,
        "version": state.version,
        "at": time.time(),
        "away": state.unavailable or None,
        "missing": state.missing or None,
        "since": state.since,
        "stats": state.aggregates.stats() if state.aggregates else None,
        "stream": state.stream.to_json() if state.aggregates else None,
        "snapshot": state.snapshot_taken,
        "batch": state.batches[0] if state.batches else None,
    }
    return b"event: state\ndata: " + to_json(data) + b"\n\n"
