"""The HTTP server of a pipeline, connected to its statistics, documents and producers' markers."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence

from kafka.errors import KafkaError

from conf.errors import ExplainedError
from conf.settings import Settings
from producers.topic.markers import Marker, MarkerReader
from producers.topic.topics import describe_topic
from serving.answers.sources import Source, SourceCounts
from serving.api.app import make_app
from serving.api.poller import StatisticsPoller
from serving.api.server import Server, check_access
from serving.background import BackgroundThread
from serving.document_queries import DocumentQueries
from serving.slices.queries import SliceQueries
from sinks.position import lag_by_partition
from wetstream.pipeline.connections import find_kafka, find_redis
from wetstream.pipeline.ledger import ledger, reaches, read_ends
from wetstream.pipeline.writer_lease import live_documents

log = logging.getLogger("wetstream")

READ_EVERY_S = 2.0
READ_ENDS_EVERY_S = 10.0
TRY_AGAIN_S = 10.0


class WatchedSources:
    """The producers' markers, read every READ_EVERY_S in a background thread; without a broker there are none."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._markers: dict[str, Marker] | None = None
        self.version = 0
        self._ends: dict[str, int] = {}
        self._markers_before_ends: dict[str, Marker] | None = None
        self._ends_read_at = float("-inf")
        self._reader: MarkerReader | None = None
        self._thread = BackgroundThread("reading the producers' markers from Kafka", self._step)

    def start(self) -> None:
        """Start reading."""
        self._thread.start()

    def stop(self) -> None:
        """Stop reading, without waiting for a broker that does not answer."""
        self._thread.stop(timeout_s=0)

    def ledger(self, counted: Sequence[SourceCounts], positions: Mapping[str, int]) -> list[Source]:
        """Return the counted sources with what was produced of each."""
        markers = self._markers
        complete = markers == self._markers_before_ends and reaches(positions, self._ends)
        return ledger(counted, markers, complete=complete)

    def lag_by_partition(self, position: Mapping[str, int]) -> dict[str, int]:
        """Return how many offsets wait in each partition of the records topic, by the broker; {} without one."""
        return lag_by_partition(self._ends, position)

    def _step(self) -> float:
        try:
            if self._reader is None:
                self._reader = self._connect()
                if self._reader is None:
                    return TRY_AGAIN_S
            found = dict(self._reader.read_to_last_stable_offset())
            if time.monotonic() - self._ends_read_at > READ_ENDS_EVERY_S:
                self._read_ends(found)
        except (ExplainedError, KafkaError, OSError) as error:
            log.debug("the producers' markers cannot be read: %s", error)
            self._close()
            return TRY_AGAIN_S
        except Exception:
            self._close()
            raise
        if found != self._markers:
            self._markers = found
            self.version += 1
        return READ_EVERY_S

    def _read_ends(self, markers: dict[str, Marker]) -> None:
        ends = read_ends(self._settings) or {}
        self._ends_read_at = time.monotonic()
        if ends != self._ends or markers != self._markers_before_ends:
            self._markers_before_ends = None  # while the two do not belong together
            self._ends = ends
            self._markers_before_ends = markers
            self.version += 1

    def _connect(self) -> MarkerReader | None:
        settings = self._settings
        bootstrap_servers = find_kafka(settings)
        topic = describe_topic(settings, bootstrap_servers, settings.progress_topic) if bootstrap_servers else None
        if topic is None or bootstrap_servers is None:
            return None
        timeout_ms = settings.kafka.request_timeout_ms
        return MarkerReader(topic, bootstrap_servers, request_timeout_ms=timeout_ms, wait_s=30.0)

    def _close(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()


def make_server(settings: Settings) -> tuple[Server, WatchedSources]:
    """Make the server without starting it. Raises ServeError when it would be open to others without a token."""
    check_access(settings.serve)
    sources = WatchedSources(settings)
    poller = StatisticsPoller(
        lambda: find_redis(settings), settings.pipeline, sources, refresh_s=settings.serve.refresh_ms / 1000
    )
    app = make_app(
        poller,
        DocumentQueries(lambda: live_documents(settings)),
        SliceQueries(lambda: live_documents(settings), settings.slices_path),
        token=settings.serve.token.get_secret_value(),
        hosts=(settings.serve.host,),
        allow_origins=tuple(origin.strip() for origin in settings.serve.allow_origins.split(",") if origin.strip()),
        max_event_clients=settings.serve.max_connections // 2,
    )
    return Server(app, settings.serve), sources


def serve(settings: Settings, say: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM."""
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
