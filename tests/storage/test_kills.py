"""Documents in a bucket, the driver or a worker killed between file, log and pointer: the undisturbed run's digest."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness import Command, Pipeline
from tests.object_stores import KEYS, keys

Make = Callable[..., Pipeline]
P21 = ("--profile", "p21")
SMALL = ("--set", "stream.max_records=40", "--set", "documents.compact_every=2")
slow = pytest.mark.slow

STREAM_POINTS = ["before-pointer", "before-delta-commit:2", "after-delta-commit", "during-compaction"]
REPLAY_POINTS = ["replay-generation-made", "after-delta-commit", "before-switch", "after-switch"]
REMOVAL_POINTS = ["after-removal-plan", "before-removal-delete", "before-removal-counts"]


@pytest.fixture
def on_s3(wetstream: Command, s3: str, bucket: str) -> Command:
    """The command with documents in a bucket; the server and the keys are in its environment only."""
    server = {"AWS_ENDPOINT_URL": s3, "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1"}
    return Command(wetstream.environment | {"WETSTREAM_DOCUMENTS_PATH": f"{bucket}/documents"} | KEYS | server)


@pytest.fixture
def right(make_pipeline: Make, sample: Path) -> str:
    """The digest of an undisturbed run with documents in a folder."""
    pipeline = make_pipeline(pipeline=f"right-{os.getpid()}-{random.randrange(1 << 30)}")
    pipeline.ingest(sample)
    pipeline.stream()
    return pipeline.verified().digest


def killed(command: Command, *arguments: str | Path, at: str) -> None:
    done = command(*arguments, code=None, WETSTREAM_CRASH_AT=at)
    assert done.returncode == -signal.SIGKILL, f"{at} was not reached: {done.stdout}{done.stderr}"


def digest(command: Command) -> str:
    result = command.json("verify")
    assert result["ok"], result["differences"]
    return str(result["digest"])


@pytest.mark.parametrize(
    "points",
    [pytest.param(["before-pointer", "after-delta-commit"], marks=slow), pytest.param(STREAM_POINTS, marks=slow)],
    ids=["some", "all"],
)
def test_the_stream_killed_between_files_log_and_pointer(
    points: list[str], on_s3: Command, bucket: str, s3: str, sample: Path, right: str
) -> None:
    on_s3("ingest", sample)
    for point in points:
        killed(on_s3, "stream", "--once", *P21, *SMALL, at=point)
    on_s3("stream", "--once", *P21, *SMALL)
    assert digest(on_s3) == right
    assert any(key.endswith("live.json") for key in keys(s3, bucket.removeprefix("s3://")))
    home = Path(on_s3.environment["WETSTREAM_HOME"])
    assert not (home / "documents" / on_s3.environment["WETSTREAM_PIPELINE"]).exists()
    written = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    for secret in KEYS.values():
        assert not [path for path, data in written.items() if secret.encode() in data]


@slow
def test_a_replay_and_a_removal_killed_on_the_way(on_s3: Command, sample: Path, right: str) -> None:
    on_s3("run", sample, *P21)
    for point in REPLAY_POINTS:
        killed(on_s3, "replay", "--from", "files", sample, at=point)
    on_s3("replay", "--from", "files", sample)
    assert digest(on_s3) == right
    assert len(on_s3.json("generations", "list")) >= 2
    for point in REMOVAL_POINTS:
        killed(on_s3, "remove", sample, at=point)
    on_s3("remove", sample)
    on_s3("run", sample, *P21)
    assert digest(on_s3) == right


@slow
def test_a_worker_killed_after_its_file(on_s3: Command, sample: Path, right: str, tmp_path: Path) -> None:
    on_s3("ingest", sample)
    flag = tmp_path / "killed"
    crash = {"WETSTREAM_CRASH_AT": "after-task-file:2", "WETSTREAM_CRASH_ONCE": str(flag)}
    on_s3("stream", "--once", *P21, *SMALL, **crash)
    assert flag.exists() and digest(on_s3) == right
    assert on_s3("documents", "vacuum", "--retain-hours", "0").stdout.splitlines()[-1].endswith("files were deleted")
    assert digest(on_s3) == right
