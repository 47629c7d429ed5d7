"""A standalone cluster whose executors have nothing but the archive, documents in a bucket: kills, one digest."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from producers.sample.writer import write_sample
from tests.cluster.standalone import Standalone
from tests.harness import Command, Pipeline

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]
Make = Callable[..., Pipeline]
P21 = ("--profile", "p21")
# Many micro-batches, all of one size, however slow the machine is.
SMALL = (
    *("--set", "stream.max_records=60", "--set", "stream.target_batch_s=0"),
    *("--set", "spark.executor.memory=700m"),
)


def digest(wetstream: Command) -> str:
    result = wetstream.json("verify")
    assert result["ok"], result["differences"]
    return str(result["digest"])


def test_kills_replay_and_removal_on_a_cluster_give_the_digest_of_one_local_run(
    on_cluster_and_s3: Command, cluster: Standalone, make_pipeline: Make, tmp_path: Path
) -> None:
    on_cluster = on_cluster_and_s3
    kept, removed = (write_sample(tmp_path / f"{n}.warc.wet.gz", records=400, seed=n).path for n in (1, 2))
    local = make_pipeline(pipeline=f"local-{os.getpid()}")
    local.ingest(kept, removed)
    local.stream()
    both = local.verified().digest
    local.remove(removed)
    one = local.verified().digest

    on_cluster("ingest", kept, removed)
    # The driver is killed between the two commits, then one of two workers under a running stream.
    killed = on_cluster("stream", "--once", *P21, *SMALL, code=None, WETSTREAM_CRASH_AT="after-delta-commit:2")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    counted = on_cluster.counted()
    running = on_cluster.start("stream", "--once", *P21, *SMALL)
    try:
        deadline = time.monotonic() + 400
        while on_cluster.counted() <= max(counted, 60):
            assert running.poll() is None and time.monotonic() < deadline, running.communicate()[0]
            time.sleep(0.1)
        cluster.kill_worker(0)
        output, _ = running.communicate(timeout=600)
    finally:
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()
    assert running.returncode == 0, output
    assert digest(on_cluster) == both

    cluster.start_worker()
    done = on_cluster("replay", "--from", "files", kept, removed, *P21, *SMALL)
    assert "2 executors" in done.stderr, done.stderr
    assert not (Path(on_cluster.environment["WETSTREAM_HOME"]) / "documents").exists()
    assert digest(on_cluster) == both
    on_cluster("remove", removed)
    assert digest(on_cluster) == one
