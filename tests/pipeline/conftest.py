"""A whole pipeline under test: in this process with one Spark session for all tests, or as a person runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from redis import Redis

from conf.profiles import load_profile
from conf.settings import Settings, load_settings
from producers.discover import discover
from producers.ingest import Outcome
from producers.topics import ensure_topics
from producers.workers import ingest_all
from serving.queries import LiveStatistics
from serving.verify.verify import Verification, verify
from sinks.documents import Documents
from sinks.generations import Generations
from streaming.query import Progress
from streaming.session import start_session
from streaming.stream import Connections, Stream
from wetstream.engine import quiet_java
from wetstream.servers.embedded import Endpoints
from wetstream.servers.jars import default_cache, obtain_jars
from wetstream.servers.java import find_java


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    home = tmp_path_factory.mktemp("spark")
    settings = load_settings(flags={"home": str(home), "stream.driver_memory": "1g"}, environ={})
    java = find_java(home)
    jars = obtain_jars(default_cache(), java, lambda line: None)
    session = start_session(settings, java_home=quiet_java(java.executable, home), jars=jars.connector)
    yield session
    session.stop()


@dataclass
class Pipeline:
    """One pipeline in this process."""

    settings: Settings
    bootstrap_servers: str
    redis: Redis
    spark: SparkSession
    profile: str = "p21"

    def ingest(self, *paths: Path, **options: Any) -> list[Outcome]:
        topics = ensure_topics(self.settings, self.bootstrap_servers)
        sources = discover([str(path) for path in paths])
        events = list(ingest_all(self.settings, self.bootstrap_servers, topics, sources, **options))
        return [event for event in events if isinstance(event, Outcome)]

    def stream(self, on_progress: Callable[[Progress], None] = lambda progress: None) -> None:
        """To the end of the topic."""
        self.make_stream(on_progress).run(once=True)

    def make_stream(self, on_progress: Callable[[Progress], None] = lambda progress: None) -> Stream:
        connections = Connections(self.bootstrap_servers, self.redis, self.spark)
        return Stream(self.settings, load_profile(self.profile), connections, on_progress=on_progress)

    @property
    def documents(self) -> Documents:
        found = Generations(self.settings.documents_path, self.settings.pipeline).open_live()
        assert found is not None
        return found[1]

    @property
    def live(self) -> LiveStatistics:
        return LiveStatistics(self.redis, self.settings.pipeline)

    def verified(self) -> Verification:
        """The verification, which must find nothing."""
        result = verify(self.redis, self.settings.pipeline, self.documents)
        assert result.ok, result.differences
        return result

    def forget_redis(self) -> None:
        for key in self.redis.scan_iter(f"ws:{{{self.settings.pipeline}}}:*"):
            self.redis.delete(key)


@pytest.fixture
def make_pipeline(
    make_settings: Callable[..., Settings], servers: Endpoints, redis_client: Redis, spark: SparkSession
) -> Callable[..., Pipeline]:
    def make(profile: str = "p21", **flags: Any) -> Pipeline:
        assert servers.bootstrap_servers is not None
        return Pipeline(make_settings(**flags), servers.bootstrap_servers, redis_client, spark, profile)

    return make


@dataclass
class Command:
    """The `wetstream` command in a process of its own, on the servers of the tests."""

    environment: dict[str, str]

    def __call__(self, *arguments: str | Path, code: int | None = 0, **environment: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "wetstream.cli", *map(str, arguments)],
            env=self.environment | environment,
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert "Traceback" not in done.stderr + done.stdout, done.stderr
        if code is not None:
            assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def json(self, *arguments: str | Path, **environment: str) -> Any:
        return json.loads(self(*arguments, "--json", **environment).stdout)


@pytest.fixture
def wetstream(make_settings: Callable[..., Settings], servers: Endpoints) -> Command:
    settings = make_settings()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("WETSTREAM_")}
    kept = {name: os.environ[name] for name in ("WETSTREAM_JARS", "WETSTREAM_NUMBA_CACHE") if name in os.environ}
    assert servers.bootstrap_servers is not None and servers.redis_url is not None
    return Command(
        inherited
        | kept
        | {
            "WETSTREAM_HOME": str(settings.home),
            "WETSTREAM_PIPELINE": settings.pipeline,
            "WETSTREAM_KAFKA_BOOTSTRAP_SERVERS": servers.bootstrap_servers,
            "WETSTREAM_KAFKA_PARTITIONS": str(settings.kafka.partitions),
            "WETSTREAM_REDIS_URL": servers.redis_url,
            "WETSTREAM_STREAM_DRIVER_MEMORY": "1g",
        }
    )
