"""The HTTP server: the socket it listens on, and its orderly end."""

from __future__ import annotations

import socket
from collections.abc import Callable
from types import FrameType

import uvicorn
from fastapi import FastAPI

from conf.errors import ExplainedError
from conf.settings import ServeSettings
from serving.api.access import is_loopback
from serving.api.events import EventSource
from serving.api.pipelines import OpenPipelines
from serving.api.request_timeout import timeout_protocol

BACKLOG = 512


class ServeError(ExplainedError):
    """The server cannot start; the message says why and the remedy."""


def check_access(settings: ServeSettings) -> None:
    """Refuse to serve other machines without a token.

    Raises:
        ServeError: The server would be open to other machines.
    """
    if not settings.token and not is_loopback(settings.host):
        raise ServeError(
            f"serve.host {settings.host} can be reached from other machines: set a token of at least 16 characters "
            "(WETSTREAM_SERVE_TOKEN, or serve.token in a settings file), or listen on 127.0.0.1"
        )


class Server(uvicorn.Server):
    """Uvicorn, but event streams end before it waits for connections to close."""

    def __init__(self, app: FastAPI, settings: ServeSettings) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                host=settings.host,
                port=settings.port,
                http=timeout_protocol(settings.request_timeout_s),
                ws="none",
                limit_concurrency=settings.max_connections,
                backlog=BACKLOG,
                timeout_keep_alive=max(5, int(settings.request_timeout_s)),
                timeout_graceful_shutdown=3,
                h11_max_incomplete_event_size=16 << 10,
                log_level="warning",
                access_log=False,
                server_header=False,
            )
        )
        self._app = app
        self._settings = settings

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End on a signal."""
        super().handle_exit(sig, frame)
        self.end()

    def end(self) -> None:
        """End in order. Safe from any thread and in a signal handler, also repeatedly."""
        self.should_exit = True
        opened: OpenPipelines | None = getattr(self._app.state, "opened", None)
        for app in (self._app, *(opened.apps if opened is not None else [])):
            events: EventSource | None = getattr(app.state, "events", None)
            if events is not None:
                events.end()

    def serve_until_stopped(self, on_start: Callable[[str], None]) -> None:
        """Serve until a signal comes.

        Args:
            on_start: Called with the URL once the server listens.

        Raises:
            ServeError: The server cannot listen there.
        """
        listening = self.listen()
        host = self._settings.host
        on_start(f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}")
        self.run(sockets=[listening])

    def listen(self) -> socket.socket:
        """Return the bound socket; connections wait in it until the server has started. Raises ServeError."""
        host, port = self._settings.host, self._settings.port
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        # asyncio disables Nagle's algorithm only if the protocol is named; otherwise each response, which is two
        # writes, waits 40 ms for the client's delayed acknowledgement.
        listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, port))
            listening.listen(BACKLOG)
        except (OSError, ValueError, OverflowError) as error:
            listening.close()
            reason = getattr(error, "strerror", None) or error
            raise ServeError(
                f"cannot listen on {host} port {port}: {reason}; choose another (serve.host, serve.port, or --port)"
            ) from error
        listening.set_inheritable(True)
        return listening
