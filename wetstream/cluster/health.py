"""Health and readiness of a command that works for long, over HTTP, for systemd, Kubernetes and load balancers.

`/health` is 200 while the process answers at all. `/ready` is 200 while it does its work: a stream has reported a
micro-batch, also an empty one, within `health.silent_s`; a producer has found its sources. Otherwise it is 503, with
the reason.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from conf.errors import ExplainedError
from conf.settings import Settings
from producers.report import Outcome, OutcomeState
from wetstream.pipeline.events import Event, Lag, MicroBatch, SourcesFound

REQUEST_TIMEOUT_S = 5


class HealthError(ExplainedError):
    """The port cannot be listened on; the message names the setting."""


class Health:
    """What the events of a pipeline say about its state.

    Args:
        pipeline: Its name.
        streaming: Whether micro-batches are to be expected.
        silent_s: For how long there may be none.
    """

    def __init__(self, pipeline: str, *, streaming: bool, silent_s: float) -> None:
        self._pipeline = pipeline
        self._streaming = streaming
        self._silent_s = silent_s
        self._lock = threading.Lock()
        self._heard_at: float | None = None
        self._lag: int | None = None
        self._failed: set[str] = set()

    def note(self, event: Event) -> None:
        """Take an event into account; may be called from any thread."""
        with self._lock:
            if isinstance(event, MicroBatch):
                self._heard_at = time.monotonic()
            elif isinstance(event, Lag):
                self._lag = event.offsets
            elif isinstance(event, SourcesFound) and not self._streaming:
                self._heard_at = time.monotonic()
            elif isinstance(event, Outcome):
                (self._failed.add if event.state is OutcomeState.FAILED else self._failed.discard)(event.source)

    def report(self) -> tuple[bool, dict[str, Any]]:
        """Whether the pipeline does its work, and what is known of it."""
        with self._lock:
            silent_s = None if self._heard_at is None else time.monotonic() - self._heard_at
            known: dict[str, Any] = {"pipeline": self._pipeline, "lag": self._lag, "failed_sources": len(self._failed)}
        if silent_s is None:
            return False, known | {"reason": "it is starting"}
        if self._streaming and silent_s > self._silent_s:
            return False, known | {"reason": f"no micro-batch for {silent_s:.0f} s (health.silent_s)"}
        return True, known | {"reason": None}


@contextmanager
def health_server(settings: Settings, on_event: Callable[[Event], None], *, streaming: bool) -> Iterator[Any]:
    """While inside, answer on `health.port`, if it is set.

    Args:
        settings: Address and limits.
        on_event: Is called with every event, too.
        streaming: Whether micro-batches are to be expected.

    Yields:
        The function to call with every event.

    Raises:
        HealthError: The port cannot be listened on.
    """
    if not settings.health.port:
        yield on_event
        return
    health = Health(settings.pipeline, streaming=streaming, silent_s=settings.health.silent_s)
    try:
        server = ThreadingHTTPServer((settings.health.host, settings.health.port), _handler(health))
    except OSError as error:
        raise HealthError(
            f"health.port {settings.health.port} of {settings.health.host} cannot be listened on "
            f"({error.strerror or error}): name a free one"
        ) from error
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="wetstream-health", daemon=True).start()

    def both(event: Event) -> None:
        health.note(event)
        on_event(event)

    try:
        yield both
    finally:
        server.shutdown()
        server.server_close()


def _handler(health: Health) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = REQUEST_TIMEOUT_S

        def do_GET(self) -> None:
            ready, known = health.report()
            codes = {"/health": 200, "/ready": 200 if ready else 503}
            code = codes.get(self.path.partition("?")[0], 404)
            body = json.dumps({"status": "ok" if code == 200 else "unavailable", **known}).encode() + b"\n"
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Write no line for each request."""

    return Handler
