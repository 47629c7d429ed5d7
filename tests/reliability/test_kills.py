"""Nothing lost, nothing twice: killed with SIGKILL wherever it hurts, the digest is that of an undisturbed run."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from producers.sample.writer import write_sample
from tests.harness import Command, Pipeline

Make = Callable[..., Pipeline]
P21 = ("--profile", "p21")
# Small micro-batches and chunks: every point is passed several times in one file.
SMALL = ("--set", "stream.max_records=40", "--set", "redis.chunk_words=500", "--set", "documents.compact_every=2")

# One kind each in every run of the tests; all of them in the soak.
SOME_POINTS = ["redis-chunk:2"]
ALL_POINTS = [
    "after-all-tasks",
    "before-delta-commit",
    "after-delta-commit",
    "before-redis-commit",
    "redis-chunk-read:2",
    "redis-chunk:2",
    "after-redis-commit",
]
COMPACTION_POINTS = ["after-compaction-plan", "during-compaction", "after-compaction-commit"]
slow = pytest.mark.slow


_right: dict[Path, str] = {}


@pytest.fixture
def right(make_pipeline: Make, sample: Path) -> str:
    """The digest of an undisturbed run over the sample."""
    if sample not in _right:
        pipeline = make_pipeline(pipeline=f"right-{os.getpid()}-{random.randrange(1 << 30)}")
        pipeline.ingest(sample)
        pipeline.stream()
        _right[sample] = pipeline.verified().digest
    return _right[sample]


def digest(wetstream: Command) -> str:
    result = wetstream.json("verify")
    assert result["ok"], result["differences"]
    return str(result["digest"])


def kill_at(point: str, wetstream: Command) -> None:
    done = wetstream("stream", "--once", *P21, *SMALL, code=None, WETSTREAM_CRASH_AT=point)
    assert done.returncode == -signal.SIGKILL, f"{point} was not reached: {done.stderr}"


@pytest.mark.parametrize(
    "points",
    [
        pytest.param(SOME_POINTS, id="some"),
        pytest.param(ALL_POINTS, marks=slow, id="all"),
        pytest.param(["during-compaction"], id="compaction"),
        pytest.param(COMPACTION_POINTS, marks=slow, id="all-of-compaction"),
    ],
)
def test_the_driver_killed_at_named_points(points: list[str], wetstream: Command, sample: Path, right: str) -> None:
    wetstream("ingest", sample)
    for point in points:
        kill_at(point, wetstream)
    wetstream("stream", "--once", *P21, *SMALL)
    assert digest(wetstream) == right


@slow
def test_a_worker_killed_after_it_has_joined_files(
    wetstream: Command, sample: Path, right: str, tmp_path: Path
) -> None:
    """Its join is dropped and its file left for vacuum; the stream goes on."""
    wetstream("ingest", sample)
    flag = tmp_path / "killed"
    crash = {"WETSTREAM_CRASH_AT": "after-compaction-file", "WETSTREAM_CRASH_ONCE": str(flag)}
    wetstream("stream", "--once", *P21, *SMALL, **crash)
    assert flag.exists() and digest(wetstream) == right
    wetstream("documents", "vacuum", "--retain-hours", "0")
    assert digest(wetstream) == right


@slow
def test_killed_while_healing_and_while_rebuilding(
    wetstream: Command, make_pipeline: Make, sample: Path, right: str
) -> None:
    wetstream("ingest", sample)
    for point in ("after-delta-commit:2", "during-heal", "redis-chunk"):
        kill_at(point, wetstream)
    make_pipeline().forget_redis()
    kill_at("during-rebuild", wetstream)
    wetstream("stream", "--once", *P21, *SMALL)
    assert digest(wetstream) == right


@pytest.mark.parametrize(
    ("point", "master"),
    [
        pytest.param("after-task-file", "local[2,4]", marks=slow),
        pytest.param("before-task-file", "local[2,4]", marks=slow),
        pytest.param("before-task-file", "local[2]", marks=slow),
        pytest.param("after-task-file", "local[2]", marks=slow),
    ],
)
def test_a_python_worker_killed(
    point: str, master: str, wetstream: Command, sample: Path, right: str, tmp_path: Path
) -> None:
    """With local[2] the micro-batch fails and is done again; with local[2,4] Spark runs the task a second time."""
    wetstream("ingest", sample)
    flag = tmp_path / "killed"
    wetstream(
        "stream",
        "--once",
        *P21,
        *SMALL,
        "--set",
        f"stream.master={master}",
        WETSTREAM_CRASH_AT=f"{point}:2",
        WETSTREAM_CRASH_ONCE=str(flag),
    )
    assert flag.exists(), f"{point} was not reached"
    assert digest(wetstream) == right


@slow
def test_java_process_of_spark_killed_under_a_running_stream(wetstream: Command, sample: Path, right: str) -> None:
    wetstream("ingest", sample)
    running = wetstream.start("stream", *P21, *SMALL)
    try:
        deadline = time.monotonic() + 120
        while not wetstream.counted():
            assert running.poll() is None and time.monotonic() < deadline
            time.sleep(0.1)
        (java,) = [child for child in psutil.Process(running.pid).children() if "java" in child.name()]
        java.kill()
        output, _ = running.communicate(timeout=60)
    finally:
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()
    assert running.returncode == 75 and "Spark's Java process has ended" in output.replace("\n", " "), output
    wetstream("stream", "--once", *P21)
    assert digest(wetstream) == right


def test_a_stalled_driver_is_fenced_by_its_successor(wetstream: Command, sample: Path, right: str) -> None:
    wetstream("ingest", sample)
    short_lease = ("--set", "stream.lease_s=2")
    stalled = wetstream.start(
        "stream", *P21, *SMALL, *short_lease, WETSTREAM_CRASH_AT="before-delta-commit:2", WETSTREAM_CRASH_SIGNAL="STOP"
    )
    try:
        deadline = time.monotonic() + 120
        while Path(f"/proc/{stalled.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "T":
            assert stalled.poll() is None and time.monotonic() < deadline, "it did not come to the point"
            time.sleep(0.1)
        time.sleep(2.5)
        wetstream("stream", "--once", *P21, *short_lease)
        before = digest(wetstream)
        os.kill(stalled.pid, signal.SIGCONT)
        # Its commit is refused; it goes on from the stored positions, where nothing is left to do.
        wetstream.read_until(stalled, "another writer has committed")
        os.kill(stalled.pid, signal.SIGTERM)
        output, _ = stalled.communicate(timeout=120)
        assert stalled.returncode == 0, output
    finally:
        if stalled.poll() is None:
            os.killpg(stalled.pid, signal.SIGKILL)
            stalled.wait()
    assert digest(wetstream) == before == right


@pytest.mark.slow
def test_ingest_and_stream_killed_at_random_times(wetstream: Command, make_pipeline: Make, tmp_path: Path) -> None:
    check_random_kills(wetstream, make_pipeline, tmp_path, kills=1, records=600)


@pytest.mark.slow
@pytest.mark.timeout(1800)  # 30 times some eight seconds, and what each new start has to heal
def test_many_random_kills(wetstream: Command, make_pipeline: Make, tmp_path: Path) -> None:
    check_random_kills(wetstream, make_pipeline, tmp_path, kills=30, records=6_000)


def check_random_kills(wetstream: Command, make_pipeline: Make, tmp_path: Path, *, kills: int, records: int) -> None:
    """`wetstream run`, the whole process group killed `kills` times, then run to its end."""
    seed = random.randrange(1 << 30)
    print(f"random seed {seed}")
    draw = random.Random(seed)
    sources = [write_sample(tmp_path / f"{n}.warc.wet.gz", records=records // 3, seed=n).path for n in (1, 2, 3)]
    whole = make_pipeline(pipeline=f"right-{os.getpid()}-{seed}")
    whole.ingest(*sources)
    whole.stream()
    right = whole.verified().digest
    options = (*P21, *SMALL, "--set", "producer.transaction_bytes=1048576")
    for _ in range(kills):
        running = wetstream.start("run", *sources, *options)
        time.sleep(draw.uniform(0.5, 16))
        os.killpg(running.pid, signal.SIGKILL)
        running.communicate()
    wetstream("run", *sources, *options)
    assert digest(wetstream) == right
