"""The HTTP server of a pipeline, connected to its statistics, documents and producers' markers."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from fastapi import FastAPI
from kafka.errors import KafkaError
from redis import RedisError

from conf.errors import ExplainedError
from conf.settings import Settings, changed_settings
from producers.topic.markers import Marker, MarkerReader
from producers.topic.topics import describe_topic
from serving.answers.sources import Source, SourceCounts
from serving.api.app import make_app
from serving.api.poller import StatisticsPoller
from serving.api.server import Server, check_access
from serving.background import BackgroundThread
from serving.document_queries import DocumentQueries
from serving.slices.queries import SliceQueries
from sinks.documents.generations import Generations
from sinks.keys import Keys, live_key
from sinks.position import lag_by_partition
from sinks.statistics.owner import Owner
from sinks.storage.locate import documents_location
from wetstream.pipeline.connections import find_kafka, find_redis, open_redis
from wetstream.pipeline.ledger import ledger, reaches, read_ends
from wetstream.pipeline.writer_lease import live_documents

log = logging.getLogger("wetstream")

READ_EVERY_S = 2.0
READ_ENDS_EVERY_S = 10.0
TRY_AGAIN_S = 10.0
LIST_EVERY_S = 5.0


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


class HomePipelines:
    """The pipelines that the server of one home may show.

    They have documents in its `documents.path`, and Redis has statistics that were counted from these: a pipeline of
    another home in the same Redis, or of the same name, is not shown.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._names: list[str] = []
        self._read_at = float("-inf")
        self._lock = threading.Lock()

    def names(self) -> list[str]:
        """Names in order; at most LIST_EVERY_S old. Without Redis or documents only that of the settings."""
        with self._lock:
            if time.monotonic() - self._read_at > LIST_EVERY_S:
                try:
                    self._names = self._find()
                except (ExplainedError, RedisError, OSError) as error:
                    log.debug("the pipelines cannot be listed: %s", error)
                    self._names = [self._settings.pipeline]
                self._read_at = time.monotonic()
            return self._names

    def open(self, name: str) -> tuple[FastAPI, Callable[[], None]]:
        """Make the application of one of them; the second result ends its thread."""
        app, sources = make_pipeline_app(
            changed_settings(self._settings, {"pipeline": name}), self, at_root=self._settings.pipeline
        )
        sources.start()
        return app, sources.stop

    def _find(self) -> list[str]:
        folder = documents_location(self._settings)
        found = {self._settings.pipeline}
        for name in folder.folders():
            try:
                settings = changed_settings(self._settings, {"pipeline": name})
                with open_redis(find_redis(settings), name, timeout_s=5, retries=1) as client:
                    prefix = client.get(live_key(name))
                    owner = None if prefix is None else Owner.read(client, Keys(prefix.decode(errors="replace")))
                if owner is not None and owner.pipeline_id == Generations(folder, name).pipeline_id():
                    found.add(name)
            except (ExplainedError, RedisError) as error:
                log.debug("pipeline %s is not shown: %s", name, error)
        return sorted(found)


def make_server(settings: Settings) -> tuple[Server, WatchedSources]:
    """Make the server without starting it. Raises ServeError when it would be open to others without a token."""
    check_access(settings.serve)
    app, sources = make_pipeline_app(settings, HomePipelines(settings))
    return Server(app, settings.serve), sources


def make_pipeline_app(
    settings: Settings, pipelines: HomePipelines, *, at_root: str = ""
) -> tuple[FastAPI, WatchedSources]:
    """Make the application of one pipeline, and the reader of its markers, which is not started."""
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
        pipelines=pipelines,
        at_root=at_root,
    )
    return app, sources


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
