"""`wetstream serve`: the HTTP server, with what it needs from the rest of the pipeline."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kafka.errors import KafkaError

from conf.errors import ExplainedError
from conf.settings import Settings
from producers.topic.markers import Marker, MarkerReader
from producers.topic.topics import describe_topic
from serving.api.app import make_app
from serving.api.poller import StatisticsPoller
from serving.api.server import Server, check_access
from serving.document_queries import DocumentQueries
from wetstream.pipeline.connections import find_kafka, find_redis
from wetstream.pipeline.ledger import ledger
from wetstream.pipeline.writer_lease import live_documents

log = logging.getLogger("wetstream")

GLANCE_EVERY_S = 2.0
TRY_AGAIN_S = 10.0


class WatchedSources:
    """The producers' markers, looked at every GLANCE_EVERY_S in a thread of its own; without a broker, none."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._markers: dict[str, Marker] | None = None
        self._stop = threading.Event()
        self.version = 0
        self._thread = threading.Thread(target=self._watch, name="wetstream-markers", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stop.set()

    def ledger(self, counted: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """The sources as counted, with what was produced of each."""
        return ledger(counted, self._markers)

    def _watch(self) -> None:
        while not self._stop.is_set():
            try:
                self._read()
            except (ExplainedError, KafkaError, OSError) as error:
                log.debug("the producers' markers cannot be read: %s", error)
                self._stop.wait(TRY_AGAIN_S)

    def _read(self) -> None:
        settings = self._settings
        bootstrap_servers = find_kafka(settings)
        topic = describe_topic(settings, bootstrap_servers, settings.progress_topic) if bootstrap_servers else None
        if topic is None or bootstrap_servers is None:
            self._stop.wait(TRY_AGAIN_S)
            return
        timeout_ms = settings.kafka.request_timeout_ms
        reader = MarkerReader(topic, bootstrap_servers, request_timeout_ms=timeout_ms, wait_s=30.0)
        try:
            while not self._stop.is_set():
                found = dict(reader.read_to_last_stable_offset())
                if found != self._markers:
                    self._markers = found
                    self.version += 1
                self._stop.wait(GLANCE_EVERY_S)
        finally:
            reader.close()


def make_server(settings: Settings) -> tuple[Server, WatchedSources]:
    """The server, not yet started. Raises ServeError when it would be open to others without a token."""
    check_access(settings.serve)
    sources = WatchedSources(settings)
    live = StatisticsPoller(
        lambda: find_redis(settings), settings.pipeline, sources, refresh_s=settings.serve.refresh_ms / 1000
    )
    app = make_app(
        live,
        DocumentQueries(lambda: live_documents(settings)),
        token=settings.serve.token.get_secret_value(),
        hosts=(settings.serve.host,),
        allow_origins=tuple(origin.strip() for origin in settings.serve.allow_origins.split(",") if origin.strip()),
        max_event_clients=settings.serve.max_connections // 2,
    )
    return Server(app, settings.serve), sources


def serve(settings: Settings, say: Callable[[str], None]) -> None:
    """Serve until a signal comes."""
    server, sources = make_server(settings)

    def started(address: str) -> None:
        say(
            f"pipeline {settings.pipeline}: dashboard {address}/  API {address}/api/v1/stats  metrics {address}/metrics"
        )

    sources.start()
    try:
        server.serve_until_stopped(started)
    finally:
        sources.stop()
