"""Servers that die, hang or refuse: the stream waits, says so and resumes, or ends after the set time."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from redis import Redis

from producers.sample.writer import write_sample
from sinks.keys import live_key
from tests.harness import Command, Pipeline
from tests.servers.processes import outside_redis
from wetstream.servers import embedded
from wetstream.servers.state import read_record

P21 = ("--profile", "p21")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A state directory with servers of the test's own, for tests that hurt them."""
    embedded.up(tmp_path / "own", log=lambda line: None, heap_mb=256)
    try:
        yield tmp_path / "own"
    finally:
        for name in ("kafka", "redis"):
            record = read_record(tmp_path / "own", name)
            if record is not None and psutil.pid_exists(record.pid):
                os.kill(record.pid, signal.SIGCONT)
        embedded.down(tmp_path / "own", log=lambda line: None)


@pytest.fixture
def own(home: Path, wetstream: Command) -> Command:
    """The command on these servers."""
    kept = {
        k: v
        for k, v in wetstream.environment.items()
        if not k.startswith(("WETSTREAM_KAFKA_BOOTSTRAP_SERVERS", "WETSTREAM_KAFKA_CLIENT", "WETSTREAM_REDIS_URL"))
    }
    return Command(kept | {"WETSTREAM_HOME": str(home)})


@pytest.fixture
def small_redis(own: Command, tmp_path: Path) -> Iterator[Redis]:
    """A Redis whose memory a test may limit (the embedded one takes no such command), and the command uses it."""
    with outside_redis(tmp_path / "redis") as url, Redis.from_url(url) as client:
        own.environment["WETSTREAM_REDIS_URL"] = url
        yield client


def pid_of(home: Path, name: str) -> int:
    record = read_record(home, name)
    assert record is not None
    return record.pid


def wait_for(condition: Callable[[], Any], running: subprocess.Popen[str], what: str) -> None:
    deadline = time.monotonic() + 150
    while not condition():
        assert running.poll() is None, f"ended before {what}"
        assert time.monotonic() < deadline, what
        time.sleep(0.2)


def position(client: Redis, pipeline: str) -> Any:
    """How far Redis has counted."""
    prefix: Any = client.get(live_key(pipeline))
    return client.get(prefix.decode() + "position")


def stop(running: subprocess.Popen[str]) -> str:
    try:
        os.kill(running.pid, signal.SIGTERM)
        output, _ = running.communicate(timeout=90)
    finally:
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()
    assert running.returncode == 0, output
    return output


@pytest.mark.slow
@pytest.mark.parametrize("name", ["redis", "kafka"])
def test_a_server_killed_under_a_running_stream(name: str, own: Command, home: Path, tmp_path: Path) -> None:
    first, second = (write_sample(tmp_path / f"{n}.warc.wet.gz", records=150, seed=n).path for n in (1, 2))
    own("ingest", first)
    running = own.start("stream", *P21, "--set", "stream.max_records=50")
    try:
        wait_for(lambda: own.counted() >= 50, running, "the first micro-batch")
        os.kill(pid_of(home, name), signal.SIGKILL)
        time.sleep(3)
        embedded.up(home, log=lambda line: None, heap_mb=256)
        own("ingest", second)
        wait_for(lambda: own.counted() == 302, running, "all records")
    except BaseException:
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
        raise
    stop(running)
    assert own.json("verify")["ok"]
    assert own.json("stats")["records"] == 302


@pytest.mark.slow
def test_redis_that_refuses_writes_is_waited_for(own: Command, small_redis: Redis, tmp_path: Path) -> None:
    first, second = (write_sample(tmp_path / f"{n}.warc.wet.gz", records=100, seed=n).path for n in (1, 2))
    own("run", *P21, first)
    pipeline = own.environment["WETSTREAM_PIPELINE"]
    small_redis.config_set("maxmemory", "1mb")
    own("ingest", second)
    running = own.start("stream", *P21)
    try:
        before = position(small_redis, pipeline)
        time.sleep(15)
        assert running.poll() is None, "it waits"
        assert position(small_redis, pipeline) == before, "nothing was written in part"
        small_redis.config_set("maxmemory", "0")
        wait_for(lambda: own.counted() == 202, running, "all records")
    except BaseException:
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
        raise
    output = stop(running)
    assert "Redis refuses" in output.replace("\n", " ")
    assert own.json("verify")["ok"]


@pytest.mark.slow
def test_the_stream_gives_up_after_the_set_time_and_loses_nothing(
    own: Command, small_redis: Redis, tmp_path: Path
) -> None:
    first, second = (write_sample(tmp_path / f"{n}.warc.wet.gz", records=100, seed=n).path for n in (1, 2))
    own("run", *P21, first)
    own("ingest", second)
    small_redis.config_set("maxmemory", "1mb")
    done = own("stream", "--once", *P21, "--set", "stream.retry_s=4", code=75)
    assert "gave up after 4 s" in done.stderr.replace("\n", " ")
    small_redis.config_set("maxmemory", "0")
    own("stream", "--once", *P21)
    assert own.json("verify")["records"] == 202


@pytest.mark.slow
def test_stalled_broker_is_not_mistaken_for_fencing(own: Command, home: Path, tmp_path: Path) -> None:
    source = write_sample(tmp_path / "s.warc.wet.gz", records=3000).path
    running = own.start("run", *P21, source, "--set", "producer.transaction_bytes=1048576")
    try:
        wait_for(lambda: pid_of(home, "kafka"), running, "servers")
        time.sleep(6)
        broker = pid_of(home, "kafka")
        os.kill(broker, signal.SIGSTOP)
        time.sleep(20)
        os.kill(broker, signal.SIGCONT)
        output, _ = running.communicate(timeout=200)
    finally:
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()
    assert running.returncode == 0, output
    assert "took this source over" not in output.replace("\n", " ")
    assert own.json("verify")["records"] == 3001


def test_restored_backup_of_any_single_store(make_pipeline: Callable[..., Pipeline], tmp_path: Path) -> None:
    first, second = (write_sample(tmp_path / f"{n}.warc.wet.gz", records=150, seed=n).path for n in (1, 2))
    pipeline = make_pipeline()
    pipeline.ingest(first)
    pipeline.stream()
    backup = tmp_path / "backup"
    shutil.copytree(pipeline.settings.documents_path, backup)
    prefix = pipeline.redis.get(live_key(pipeline.settings.pipeline)).decode()  # type: ignore[union-attr]
    dumped = {key: pipeline.redis.dump(key) for key in pipeline.redis.scan_iter(prefix + "*")}
    assert len(dumped) > 8
    pipeline.ingest(second)
    pipeline.stream()
    right = pipeline.verified().digest

    # Redis alone, older: healed.
    for key in pipeline.redis.scan_iter(prefix + "*"):
        pipeline.redis.delete(key)
    for key, value in dumped.items():
        pipeline.redis.restore(key, 0, value)
    pipeline.stream()
    assert pipeline.verified().digest == right
    # The table alone, older: Redis is ahead, is recounted, and the topic is read again from the table's positions.
    shutil.rmtree(pipeline.settings.documents_path)
    shutil.copytree(backup, pipeline.settings.documents_path)
    pipeline.stream()
    assert pipeline.verified().digest == right


@pytest.mark.slow
def test_hanging_broker_ends_the_stream_after_retry_s(own: Command, home: Path, tmp_path: Path) -> None:
    """Spark itself would wait for it for minutes."""
    own("ingest", write_sample(tmp_path / "s.warc.wet.gz", records=100).path)
    running = own.start("stream", *P21, "--set", "stream.retry_s=8")
    broker = pid_of(home, "kafka")
    try:
        wait_for(lambda: own.counted() == 101, running, "all records")
        os.kill(broker, signal.SIGSTOP)
        output, _ = running.communicate(timeout=90)
    finally:
        os.kill(broker, signal.SIGCONT)
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()
    assert running.returncode == 75
    assert "gave up after 8 s" in output.replace("\n", " ")
    own("stream", "--once", *P21)
    assert own.json("verify")["records"] == 101


def test_signal_to_the_process_group_shuts_the_stream_down_cleanly(wetstream: Command, sample: Path) -> None:
    """As a shell or a supervisor sends it: Spark's Java gets it too, and must not die under the micro-batch."""
    wetstream("ingest", sample)
    # The driver stops itself in the middle of a micro-batch, so that Java would die first.
    points = {"WETSTREAM_CRASH_AT": "after-all-tasks", "WETSTREAM_CRASH_SIGNAL": "STOP"}
    running = wetstream.start("stream", *P21, **points)
    try:
        driver = psutil.Process(running.pid)
        wait_for(lambda: driver.status() == psutil.STATUS_STOPPED, running, "the micro-batch")
        os.killpg(running.pid, signal.SIGTERM)
        time.sleep(2)
        os.kill(running.pid, signal.SIGCONT)
        output, _ = running.communicate(timeout=90)
    finally:
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()
    assert running.returncode == 0, output
    assert "micro-batch dropped" not in output.replace("\n", " ")
    assert wetstream.json("verify")["records"] == 301
