"""Closes HTTP connections whose client neither sends nor reads.

Uvicorn only closes connections that are idle after a response. A client that sends half a request, or that does not
read its response, would hold one of a limited number of connections for ever.
"""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol


class TimeoutProtocol(H11Protocol):
    """uvicorn's HTTP protocol with a limit on how long a client may take; `timeout_s` is set by a subclass."""

    timeout_s: ClassVar[float]
    _request_timer: asyncio.TimerHandle | None = None
    _reader_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Start the limit for the first request."""
        super().connection_made(transport)
        self._await_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel all timers."""
        self._request_arrived()
        self._stop_reader_timer()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        """Start or end the limit of a request, by what the client is expected to do next."""
        super().handle_events()
        if self.conn.their_state in (h11.IDLE, h11.SEND_BODY):
            self._await_request()
        else:
            self._request_arrived()

    def pause_writing(self) -> None:
        """Start the limit for a client that does not read."""
        super().pause_writing()
        self._start_reader_timer()

    def resume_writing(self) -> None:
        """End the limit for a client that does not read."""
        super().resume_writing()
        self._stop_reader_timer()

    def timeout_keep_alive_handler(self) -> None:
        """Close, also if the client does not read."""
        super().timeout_keep_alive_handler()
        # Closing waits until everything is sent: for ever, if the client does not read.
        self._start_reader_timer()

    def _await_request(self) -> None:
        if self._request_timer is None:
            self._request_timer = self.loop.call_later(self.timeout_s, self._give_up_request)

    def _request_arrived(self) -> None:
        if self._request_timer is not None:
            self._request_timer.cancel()
            self._request_timer = None

    def _give_up_request(self) -> None:
        self._request_timer = None
        if not self.transport.is_closing():
            self.transport.close()
        self._start_reader_timer()

    def _start_reader_timer(self) -> None:
        if self._reader_timer is None:
            self._reader_timer = self.loop.call_later(self.timeout_s, self.transport.abort)

    def _stop_reader_timer(self) -> None:
        if self._reader_timer is not None:
            self._reader_timer.cancel()
            self._reader_timer = None


def timeout_protocol(timeout_s: float) -> type[H11Protocol]:
    """Return a protocol for uvicorn with a limit on how long a client may take.

    Args:
        timeout_s: Seconds for a request to arrive completely, and for a client to take what waits to be sent.
    """
    return type("TimeoutProtocol", (TimeoutProtocol,), {"timeout_s": timeout_s})
