"""A pipeline's statistics written by the real sink into the real Redis, and the server over them."""

from __future__ import annotations

import json
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from redis import Redis

from conf.addresses import RedisServers
from conf.profiles import Rules
from conf.settings import Settings
from serving.api.app import make_app
from serving.api.poller import StatisticsPoller
from serving.api.server import Server
from serving.queries import LiveStatistics
from sinks.documents.files import write_document_file
from sinks.documents.generations import Generations
from sinks.documents.schema import DOCUMENTS
from sinks.keys import Keys, build_prefix, live_key, pipeline_pattern, status_key
from sinks.statistics.builds import open_builds
from sinks.statistics.store import Statistics
from sinks.statistics.sums import PageCounts, SourceCount, Sums
from tests.harness import Command
from tests.sinks.batches import row
from wetstream.pipeline.serve import WatchedSources, make_server


@dataclass
class Made:
    """Statistics of a pipeline of the test's own; `add` counts documents given as bags of words."""

    client: Redis
    settings: Settings
    bags: list[dict[str, int]] = field(default_factory=list)
    at: int = 0

    @property
    def pipeline(self) -> str:
        return self.settings.pipeline

    @property
    def keys(self) -> Keys:
        return Keys(build_prefix(self.pipeline, "g", 1))

    @property
    def live(self) -> LiveStatistics:
        return LiveStatistics(self.client, self.pipeline)

    def add(self, *bags: dict[str, int], rejected: int = 0, top_words: int = 1000) -> None:
        """One micro-batch."""
        tf: Counter[str] = Counter()
        df: Counter[str] = Counter()
        for bag in bags:
            tf.update(bag)
            df.update(dict.fromkeys(bag, 1))
        words = sorted(tf, key=str.encode)
        table = {"word": [w.encode() for w in words], "tf": [tf[w] for w in words], "df": [df[w] for w in words]}
        schema = pa.schema([("word", pa.binary()), ("tf", pa.int64()), ("df", pa.int64())])
        sums = Sums(words=pa.table(table, schema=schema))
        for bag in bags:
            sums.lengths[sum(bag.values())] += 1
        sums.add_source("a.warc.wet.gz", "", SourceCount(len(bags), sum(tf.values()), 10 * len(bags)))
        if rejected:
            sums.add_source("a.warc.wet.gz", "not_language", SourceCount(rejected, 0, rejected))
        sums.languages["eng"] = PageCounts(len(bags) + rejected, len(bags))
        statistics = Statistics(self.client, self.keys, chunk_words=50_000, top_words=top_words)
        start = {"t/0": self.at} if self.at else {}
        self.at += len(bags) + rejected
        statistics.commit(sums, start, {"t/0": self.at})
        self.client.hset(self.keys.as_of, "profile", "english")
        self.client.set(live_key(self.pipeline), self.keys.prefix)
        self.bags += bags

    def stream_runs(self, lag: int = 0) -> None:
        ends = json.dumps({"t/0": self.at + lag})
        status = {"at": time.time(), "ends": ends, "records_per_s": 12.5}
        self.client.hset(status_key(self.pipeline), mapping=status)

    def words(self) -> dict[str, tuple[int, int]]:
        """tf and df, counted plainly."""
        tf: Counter[str] = Counter()
        df: Counter[str] = Counter()
        for bag in self.bags:
            tf.update(bag)
            df.update(dict.fromkeys(bag, 1))
        return {word: (tf[word], df[word]) for word in tf}


@pytest.fixture
def made(redis_client: Redis, make_settings: Callable[..., Settings]) -> Iterator[Made]:
    made = Made(redis_client, make_settings())
    yield made
    for key in redis_client.scan_iter(pipeline_pattern(made.pipeline)):
        redis_client.delete(key)


@pytest.fixture
def command(made: Made) -> Command:
    """The command line on this pipeline."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("WETSTREAM_")}
    names = {
        "HOME": str(made.settings.home),
        "PIPELINE": made.pipeline,
        "REDIS_URL": made.settings.redis.url.get_secret_value(),
    }
    return Command(kept | {f"WETSTREAM_{name}": value for name, value in names.items()})


@dataclass
class Running:
    """A server in this process, asked over real connections."""

    url: str
    port: int
    poller: StatisticsPoller
    app: FastAPI
    http: httpx.Client
    stop: Callable[[], None]

    def get(self, path: str, status: int = 200, **options: Any) -> Any:
        answer = self.http.get(path, **options)
        assert answer.status_code == status, answer.text
        return answer.json()

    def wait_for(self, path: str, condition: Callable[[Any], bool], seconds: float = 10) -> Any:
        deadline = time.monotonic() + seconds
        while True:
            answer = self.http.get(path)
            if answer.status_code == 200 and condition(answer.json()):
                return answer.json()
            assert time.monotonic() < deadline, answer.text
            time.sleep(0.03)


@pytest.fixture
def serve(made: Made) -> Iterator[Callable[..., Running]]:
    ends: list[Callable[[], None]] = []

    def start(
        find: Callable[[], RedisServers] | None = None,
        *,
        table: Any = None,
        slices: Any = None,
        sources: Any = None,
        token: str = "",
        **changes: Any,
    ) -> Running:
        settings = made.settings.serve.model_copy(
            update={"port": 0, "refresh_ms": 50, "token": SecretStr(token), **changes}
        )
        poller = StatisticsPoller(
            find or (lambda: RedisServers(made.settings.redis.url)),
            made.pipeline,
            sources or WatchedSources(made.settings),
            refresh_s=settings.refresh_ms / 1000,
        )
        app = make_app(poller, table, slices, token=token)
        server = Server(app, settings)
        listening = server.listen()
        port = listening.getsockname()[1]
        thread = threading.Thread(target=lambda: server.run(sockets=[listening]), daemon=True)
        thread.start()
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        http = httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=20)
        deadline = time.monotonic() + 20
        while not server.started:
            assert time.monotonic() < deadline
            time.sleep(0.01)

        def end() -> None:
            server.end()
            thread.join(2.5)  # less than the server's own patience with open connections
            ended = not thread.is_alive()
            thread.join(10)
            http.close()
            listening.close()
            assert ended, "the server did not end at once"

        ends.append(end)
        return Running(f"http://127.0.0.1:{port}", port, poller, app, http, server.end)

    yield start
    for end in ends:
        end()


RULES = Rules("p21", "hash")


def fill(settings: Settings, redis: Redis, records: int, documents: Path | None = None) -> None:
    """Documents and statistics of a pipeline with so many records."""
    generations = Generations.of(settings) if documents is None else Generations(documents, settings.pipeline)
    generation = generations.open_or_create(RULES)
    generation.documents.bind_topic("records", "id", 1)
    rows = pa.Table.from_pylist([row(number, {"alpha": 2}) for number in range(records)], schema=DOCUMENTS)
    file = write_document_file(generation.documents.location, rows, compression_level=1)
    generation.documents.commit([file], {"id/0": records})
    open_builds(settings, redis).catch_up(generation, generation.documents.position())


@contextmanager
def served(settings: Settings) -> Iterator[httpx.Client]:
    serve = settings.serve.model_copy(update={"port": 0, "refresh_ms": 50})
    server, sources = make_server(settings.model_copy(update={"serve": serve}))
    listening = server.listen()
    thread = threading.Thread(target=lambda: server.run(sockets=[listening]))
    thread.start()
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{listening.getsockname()[1]}", timeout=30) as http:
            yield http
    finally:
        server.end()
        thread.join(20)
        listening.close()
        sources.stop()
        assert not thread.is_alive()
