"""Replay, switch and removal killed at each of their steps: the next command finishes them, with the right digest."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from producers.sample.writer import write_sample
from sinks.keys import lease_key
from tests.harness import Command, Pipeline

Make = Callable[..., Pipeline]
P21 = ("--profile", "p21")
SMALL = ("--set", "stream.max_records=90", "--set", "redis.chunk_words=500")

REPLAY_POINTS = [
    "replay-generation-made",
    "before-delta-commit",
    "after-delta-commit:2",
    "redis-chunk:2",
    "before-switch",
    "after-switch",
]
REMOVAL_POINTS = [
    "after-removal-begun",
    "after-removal-plan",
    "before-removal-delete",
    "before-removal-counts",
    "redis-chunk:2",
    "after-redis-commit",
    "before-removal-ranks",
    "before-ranks-switch",
    "before-removal-finished",
]
TAKEDOWN_POINTS = [
    "before-exclusions",
    "after-removal-plan",
    "before-removal-delete",
    "before-removal-counts",
    "redis-chunk",
    "after-redis-commit",
    "before-removal-ranks",
]
PURGE_POINTS = ["before-purge-file", "before-purge-file:2", "before-purge-topic", "after-purge-topic"]
slow = pytest.mark.slow


@pytest.fixture
def second(tmp_path: Path) -> Path:
    return write_sample(tmp_path / "second.warc.wet.gz", records=120, seed=2).path


def killed(wetstream: Command, point: str, *arguments: str | Path) -> None:
    done = wetstream(*arguments, code=None, WETSTREAM_CRASH_AT=point)
    assert done.returncode == -signal.SIGKILL, f"{point} was not reached: {done.stderr}"


def digest(wetstream: Command) -> str:
    result = wetstream.json("verify")
    assert result["ok"], result["differences"]
    return str(result["digest"])


@slow
@pytest.mark.parametrize("points", [["before-switch"], REPLAY_POINTS], ids=["some", "all"])
def test_a_replay_from_the_topic_killed(
    points: list[str], wetstream: Command, make_pipeline: Make, sample: Path
) -> None:
    pipeline = make_pipeline()
    pipeline.ingest(sample)
    pipeline.stream()
    right = pipeline.verified().digest
    for point in points:
        killed(wetstream, point, "replay", "--from", "topic", *P21, *SMALL)
        assert pipeline.verified().digest == right, f"after {point}, what is live is not right"
    wetstream("replay", "--from", "topic", *P21, *SMALL)
    assert digest(wetstream) == right
    assert pipeline.documents.location.name != "g1"


@slow
@pytest.mark.parametrize("point", ["before-task-file", "after-delta-commit", "redis-chunk:2", "before-switch"])
def test_killed_during_replay_from_files(
    point: str, wetstream: Command, make_pipeline: Make, sample: Path, second: Path
) -> None:
    expected = make_pipeline(pipeline=f"right-{os.getpid()}-{random.randrange(1 << 30)}")
    expected.ingest(sample, second)
    expected.stream()
    load = ("replay", "--from", "files", sample, second, *P21, *SMALL)
    if point == "before-task-file":
        # The Python worker dies, and Spark's task with it: its files are read again.
        flag = expected.settings.home / "killed"
        wetstream(*load, WETSTREAM_CRASH_AT=point, WETSTREAM_CRASH_ONCE=str(flag))
        assert flag.exists()
    else:
        killed(wetstream, point, *load)
        wetstream(*load)
    assert digest(wetstream) == expected.verified().digest


@pytest.mark.parametrize(
    "points",
    [["before-removal-counts"], pytest.param(REMOVAL_POINTS, marks=slow)],
    ids=["some", "all"],
)
def test_a_removal_killed(
    points: list[str], wetstream: Command, make_pipeline: Make, sample: Path, second: Path
) -> None:
    pipeline = make_pipeline(redis__top_words=400)
    pipeline.ingest(sample)
    pipeline.stream()
    without, top = pipeline.verified().digest, pipeline.live.top(400)["words"]
    for number, point in enumerate(points):
        pipeline.ingest(second)
        pipeline.stream()
        ranked = ("--set", "redis.top_words=400")
        killed(wetstream, point, "remove", second, *SMALL, *ranked)
        if number % 2:
            pipeline.stream()  # a stream starts in between: it finishes what was decided
            pipeline.verified()
        outcomes = pipeline.ingest(second)
        assert [outcome.state for outcome in outcomes] == ["removing"], f"after {point}"
        wetstream("remove", second, *SMALL, *ranked)
        assert digest(wetstream) == without, f"after {point}"
        assert pipeline.live.top(400)["words"] == top, f"after {point}"


@slow
@pytest.mark.parametrize("point", ["after-removal-plan", "before-removal-counts", "redis-chunk:30"])
def test_the_stream_killed_while_it_removes(
    point: str, wetstream: Command, make_pipeline: Make, sample: Path, second: Path
) -> None:
    pipeline = make_pipeline()
    pipeline.ingest(sample)
    pipeline.stream()
    without = pipeline.verified().digest
    pipeline.ingest(second)
    stream = wetstream.start("stream", *P21, *SMALL, WETSTREAM_CRASH_AT=point)
    removal = None
    try:
        # Before it is the writer, the command would not ask it.
        deadline = time.monotonic() + 120
        while wetstream.counted() != 301 + 121 and stream.poll() is None and time.monotonic() < deadline:
            time.sleep(0.2)
        removal = wetstream.start("remove", second)
        assert stream.wait(120) == -signal.SIGKILL, f"{point} was not reached"
        # The writer's lease is free again: the command does it itself.
        assert removal.wait(120) == 0
    finally:
        for process in filter(None, (stream, removal)):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    assert digest(wetstream) == without


def hosts_of(pipeline: Pipeline) -> list[str]:
    """Hosts with kept pages, those with most of them first."""
    rows = pipeline.public.documents.to_arrow(columns=["host", "reason"]).to_pylist()
    hosts = Counter(row["host"] for row in rows if row["reason"] is None and row["host"])
    return [host for host, _ in sorted(hosts.items(), key=lambda item: (-item[1], item[0]))]


def right_after_takedown(make_pipeline: Make, sample: Path, hosts: list[str]) -> str:
    pipeline = make_pipeline(pipeline=f"right-{os.getpid()}-{random.randrange(1 << 30)}")
    pipeline.ingest(sample)
    pipeline.stream()
    pipeline.public.take_down(hosts=hosts)
    return pipeline.verified().digest


@pytest.mark.parametrize(
    "points",
    [["before-removal-counts"], pytest.param(TAKEDOWN_POINTS, marks=slow)],
    ids=["some", "all"],
)
def test_a_takedown_killed(points: list[str], wetstream: Command, make_pipeline: Make, sample: Path) -> None:
    """Each time another host: killed, perhaps finished by a stream, then said again."""
    pipeline = make_pipeline()
    pipeline.ingest(sample)
    pipeline.stream()
    hosts = hosts_of(pipeline)[: len(points)]
    for number, (point, host) in enumerate(zip(points, hosts, strict=True)):
        takedown = ("remove", "--host", host, *SMALL)
        killed(wetstream, point, *takedown)
        if number % 2:
            pipeline.stream()
            pipeline.verified()
        wetstream(*takedown)
        pipeline.verified()
        assert host not in pipeline.public.documents.to_arrow(columns=["host"])["host"].to_pylist(), f"after {point}"
    assert digest(wetstream) == right_after_takedown(make_pipeline, sample, hosts)


def test_a_purge_killed(wetstream: Command, make_pipeline: Make, sample: Path) -> None:
    """Killed at each step for another host, and only then run to its end."""
    pipeline = make_pipeline()
    pipeline.ingest(sample)
    pipeline.stream()
    hosts = hosts_of(pipeline)[: len(PURGE_POINTS)]
    for point, host in zip(PURGE_POINTS, hosts, strict=True):
        killed(wetstream, point, "remove", "--host", host, "--purge", *SMALL)
        pipeline.verified()
    report = wetstream.json("remove", "--purge")["purge"]
    assert report["left"] == [] and report["files"] and report["offsets"]
    assert digest(wetstream) == right_after_takedown(make_pipeline, sample, hosts)


@slow
def test_the_stream_killed_while_it_takes_down(wetstream: Command, make_pipeline: Make, sample: Path) -> None:
    pipeline = make_pipeline()
    pipeline.ingest(sample)
    pipeline.stream()
    hosts = hosts_of(pipeline)[: len(TAKEDOWN_POINTS)]
    for point, host in zip(TAKEDOWN_POINTS, hosts, strict=True):
        stream = wetstream.start("stream", *P21, *SMALL, WETSTREAM_CRASH_AT=point)
        takedown = None
        try:
            wait_for_lease(pipeline, stream)
            takedown = wetstream.start("remove", "--host", host)
            assert stream.wait(120) == -signal.SIGKILL, f"{point} was not reached"
            assert takedown.wait(120) == 0
        finally:
            for process in filter(None, (stream, takedown)):
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
        pipeline.verified()
    assert digest(wetstream) == right_after_takedown(make_pipeline, sample, hosts)


def wait_for_lease(pipeline: Pipeline, stream: subprocess.Popen[str]) -> None:
    """Wait until a stream is the writer: before that, a command would not ask it."""
    deadline = time.monotonic() + 120
    while not pipeline.redis.exists(lease_key(pipeline.settings.pipeline)):
        assert stream.poll() is None and time.monotonic() < deadline
        time.sleep(0.2)
