"""HTTP connections that say nothing, or not all of a request, are closed after a while.

Uvicorn only ends connections that are idle after an answer: a client that sends half a request and waits would hold its
connection, and so one of a limited number, for ever.
"""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol


def timeout_protocol(timeout_s: float) -> type[H11Protocol]:
    """A protocol for uvicorn that gives each request `timeout_s` seconds to come in whole."""

    class TimeoutProtocol(H11Protocol):
        _timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._wait()

        def connection_lost(self, exc: Exception | None) -> None:
            self._done()
            super().connection_lost(exc)

        def handle_events(self) -> None:
            super().handle_events()
            if self.conn.their_state in (h11.IDLE, h11.SEND_BODY):
                self._wait()
            else:
                self._done()

        def _wait(self) -> None:
            if self._timer is None:
                self._timer = self.loop.call_later(timeout_s, self._give_up)

        def _done(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _give_up(self) -> None:
            self._timer = None
            if not self.transport.is_closing():
                self.transport.close()

    return TimeoutProtocol
