"""Real servers for all tests, started once for a run, on ports and in a folder of its own."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from pyspark.sql import SparkSession
from redis import Redis

from conf.settings import Settings, load_settings
from producers.sample.writer import write_sample
from streaming.session import start_session
from tests.harness import Command, Pipeline, environment_of
from wetstream.servers import embedded
from wetstream.servers.embedded import Endpoints
from wetstream.servers.java.jars import default_cache, obtain_jars
from wetstream.servers.java.runtime import find_java
from wetstream.servers.java.spark_runtime import quiet_java

# Java starts in half the time, and no test runs long enough to miss its second compiler.
os.environ.setdefault("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1")
# What lands is judged by the same examples each time; `make test-all` looks for new ones.
# No deadlines: how long an example takes depends on what else the machine does.
hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None)
hypothesis.settings.register_profile("random", deadline=None)
hypothesis.settings.load_profile("repeatable")
ROOT = Path(__file__).resolve().parents[1]
SHARED_DATA = Path(os.environ.get("WETSTREAM_SHARED_DATA") or ROOT.parent / "shared" / "data")

MakeSettings = Callable[..., Settings]


LONG = ("reliability", "pipeline", "export")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long ones first, and dealt out: two workers begin with a half of the list each. The others stay together by
    module, so that what a module makes once is not made by both."""
    long = [item for item in items if any(f"tests/{folder}/" in item.nodeid for folder in LONG)]
    chosen, halves = set(long), (long[::2], long[1::2])
    for _, module in itertools.groupby((item for item in items if item not in chosen), lambda item: item.path):
        min(halves, key=len).extend(module)
    items[:] = halves[0] + halves[1]


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoints]:
    """An embedded broker and Redis; ended also when tests fail.

    `WETSTREAM_TEST_HOME` names the state directory of servers that run already (`make mutants` has thousands of runs).
    """
    if running := os.environ.get("WETSTREAM_TEST_HOME"):
        yield embedded.endpoints(Path(running))
        return
    home = tmp_path_factory.mktemp("servers")
    endpoints = embedded.up(home, log=lambda line: None, heap_mb=256)
    try:
        yield endpoints
    finally:
        embedded.down(home, log=lambda line: None)


@pytest.fixture(scope="session")
def redis_client(servers: Endpoints) -> Iterator[Redis]:
    assert servers.redis_url is not None
    with Redis.from_url(servers.redis_url.get_secret_value()) as client:
        yield client


_numbers = itertools.count()


@pytest.fixture
def make_settings(servers: Endpoints, tmp_path: Path) -> MakeSettings:
    """Settings with a state directory, a pipeline and so topics, documents and Redis keys of the test's own.

    Several calls in one test share them, unless `pipeline` is given. Keyword names use __ for the dot.
    """
    pipeline = f"t{os.getpid()}-{next(_numbers)}"

    assert servers.bootstrap_servers is not None

    def make(**flags: Any) -> Settings:
        given = {name.replace("__", "."): value for name, value in flags.items()}
        defaults = {
            "home": str(tmp_path / "home"),
            "pipeline": pipeline,
            **servers.bootstrap_servers.as_settings(),
            "redis.url": servers.redis_url,
            "kafka.partitions": 4,
            "producer.workers": 1,
        }
        return load_settings(flags=defaults | given, environ={})

    return make


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A WET file of 300 made-up pages."""
    return write_sample(tmp_path_factory.mktemp("sample") / "sample.warc.wet.gz", records=300).path


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real WET data beside the repository; a part that needs it is skipped where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip("real WET data not present (WETSTREAM_SHARED_DATA, or ../shared/data)")
    return SHARED_DATA


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    home = tmp_path_factory.mktemp("spark")
    settings = load_settings(flags={"home": str(home), "stream.driver_memory": "1g"}, environ={})
    java = find_java(home)
    jars = obtain_jars(default_cache(), java, lambda line: None)
    session = start_session(settings, java_home=quiet_java(java.executable, home), jars=jars.connector)
    yield session
    session.stop()


@pytest.fixture
def make_pipeline(
    make_settings: Callable[..., Settings], servers: Endpoints, redis_client: Redis, spark: SparkSession
) -> Callable[..., Pipeline]:
    def make(profile: str = "p21", **flags: Any) -> Pipeline:
        assert servers.bootstrap_servers is not None
        return Pipeline(make_settings(**flags), servers.bootstrap_servers, redis_client, spark, profile)

    return make


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
            **environment_of(servers.bootstrap_servers.as_settings()),
            "WETSTREAM_KAFKA_PARTITIONS": str(settings.kafka.partitions),
            "WETSTREAM_REDIS_URL": servers.redis_url.get_secret_value(),
            "WETSTREAM_STREAM_DRIVER_MEMORY": "1g",
        }
    )


@pytest.fixture
def empty_folder(tmp_path: Path, wetstream: Command, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of a user, with the servers of the tests as the configured ones."""
    for name in [name for name in os.environ if name.startswith("WETSTREAM_")]:
        monkeypatch.delenv(name)
    for name, value in wetstream.environment.items():
        if name != "WETSTREAM_HOME":
            monkeypatch.setenv(name, value)
    folder = tmp_path / "empty"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder
