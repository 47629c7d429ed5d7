"""A pipeline as it runs at other people's: a standalone cluster whose executors have nothing but the archive, Kafka and
Redis that ask who a client is, documents in a bucket. Each of them is killed on the way; there is one digest, and no
secret where others can read.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from producers.sample.writer import write_sample
from tests.cluster.observed import LIMIT_S, Observed
from tests.cluster.secured_servers import SECRETS, SecuredServers
from tests.cluster.standalone import Standalone
from tests.command_lines import watched_processes
from tests.harness import Command, Pipeline
from tests.object_stores import client, keys
from wetstream.servers.ports import choose_port

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]
log = logging.getLogger("tests.cluster")
Make = Callable[..., Pipeline]

# Twelve micro-batches of one size, however slow the machine is: there is work left after each kill.
RECORDS, BATCH = 720, 120
STREAM = (
    *("stream", "--once", "--profile", "p21"),
    *("--set", f"stream.max_records={BATCH}", "--set", "stream.target_batch_s=0"),
)
MEMORY = ("--set", "spark.executor.memory=700m")
UI_PAGES = ("/environment/", "/StreamingQuery/", "/SQL/", "/jobs/", "/stages/", "/executors/")
UI_ANSWERS = ("environment", "sql?details=true&planDescription=true", "allexecutors", "jobs", "stages")


def undisturbed(make_pipeline: Make, kept: Path, removed: Path) -> tuple[str, str]:
    """The digests of a local run with and without the second source."""
    local = make_pipeline(pipeline=f"local-{os.getpid()}")
    local.ingest(kept, removed)
    local.stream()
    both = local.verified().digest
    local.remove(removed)
    return both, local.verified().digest


def digest(observed: Observed) -> str:
    result = observed.json("verify")
    assert result["ok"], result["differences"]
    return str(result["digest"])


class Watched:
    """Spark's UI and its event log: both ask nobody who he is."""

    def __init__(self, folder: Path) -> None:
        self._port = choose_port()
        self._folder = folder
        self._folder.mkdir()
        self.options = (
            *("--set", "spark.ui.enabled=true", "--set", f"spark.ui.port={self._port}"),
            *("--set", "spark.eventLog.enabled=true", "--set", f"spark.eventLog.dir={folder.as_uri()}"),
            *("--set", "spark.eventLog.compress=false"),
        )
        self.pages: dict[str, str] = {}

    def read_ui(self) -> None:
        """Read everything that the UI of a running command shows."""
        (application,) = json.loads(self._get("/api/v1/applications"))
        for path in (*UI_PAGES, *(f"/api/v1/applications/{application['id']}/{what}" for what in UI_ANSWERS)):
            self.pages[path] = self._get(path)

    def everything(self) -> dict[str, str]:
        """What the UI has shown, and the event logs."""
        logs = {str(path): path.read_bytes().decode("latin-1") for path in self._folder.rglob("*") if path.is_file()}
        assert self.pages and any("SparkListenerSQLExecutionStart" in text for text in logs.values())
        return self.pages | logs

    def _get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}{path}", timeout=60) as answer:
            return str(answer.read().decode())


def stream_through_kills(
    observed: Observed, cluster: Standalone, secured: SecuredServers, watched: Watched, counted: int
) -> None:
    """Stream to the end; a worker, a broker and the master of Redis are killed, each after a further micro-batch."""
    running = observed.start(*STREAM, *MEMORY, *watched.options)
    try:
        counted = observed.wait_for_more(running, counted)
        watched.read_ui()
        log.info("killing a worker")
        cluster.kill_worker(0)
        counted = observed.wait_for_more(running, counted)
        log.info("killing a broker")
        secured.kafka.brokers[0].kill()
        counted = observed.wait_for_more(running, counted)
        log.info("killing the master of Redis")
        secured.redis[0].kill()
        observed.wait_for_more(running, counted)
        assert running.wait(LIMIT_S) == 0, running.output
    finally:
        running.kill()


def test_kills_replay_and_removal_on_a_cluster_give_the_digest_of_one_local_run(
    on_secured: Command,
    secured: SecuredServers,
    cluster: Standalone,
    unpacked: dict[str, str],
    make_pipeline: Make,
    tmp_path: Path,
) -> None:
    kept, removed = (write_sample(tmp_path / f"{n}.warc.wet.gz", records=RECORDS, seed=n).path for n in (1, 2))
    both, one = undisturbed(make_pipeline, kept, removed)
    # The replay sends the archive, the others find it unpacked: that saves a gigabyte of files for each executor.
    observed, by_archive = (
        Observed(Command(on_secured.environment | it, on_secured.timeout_s)) for it in (unpacked, {})
    )
    watched = Watched(tmp_path / "events")
    with watched_processes() as command_lines:
        observed("ingest", kept, removed)
        log.info("the driver kills itself between its second commit to the table and that to Redis")
        observed(*STREAM, *MEMORY, code=-signal.SIGKILL, WETSTREAM_CRASH_AT="after-delta-commit:2")
        stream_through_kills(observed, cluster, secured, watched, counted=2 * BATCH)
        assert digest(observed) == both

        cluster.start_worker()
        said = by_archive("replay", "--from", "files", kept, removed, "--profile", "p21", *MEMORY, *watched.options)
        # The archive comes to one executor before the other: how many are examined depends on the machine's load.
        assert "can run tasks" in said and cluster.executors_of_the_last_application() == 2, said
        assert digest(observed) == both
        observed("remove", removed)
        assert digest(observed) == one
    home, pipeline = (on_secured.environment[f"WETSTREAM_{name}"] for name in ("HOME", "PIPELINE"))
    assert not (Path(home) / "documents" / pipeline).exists()

    places = dict(readable_by_others(on_secured, cluster, secured)) | watched.everything()
    places |= {"command lines": "\n".join(command_lines), "what commands said": observed.said + by_archive.said}
    assert any("CoarseGrainedExecutorBackend" in line for line in command_lines)
    for place, text in places.items():
        for secret in SECRETS:
            at = text.find(secret)
            assert at < 0, f"{place}: …{text[max(0, at - 300) : at + 60]}…"


def readable_by_others(command: Command, cluster: Standalone, secured: SecuredServers) -> Iterator[tuple[str, str]]:
    """Everything that the pipeline has left: in its home, in the logs of the cluster, in the bucket and in Redis."""
    logs = [*cluster.folder.glob("*.log"), *cluster.folder.glob("work*/app-*/*/std*")]
    assert len(logs) > 6
    home = Path(command.environment["WETSTREAM_HOME"])
    for path in (*logs, *(path for path in home.rglob("*") if path.is_file())):
        yield str(path), path.read_bytes().decode("latin-1")
    s3 = client(secured.s3)
    for key in keys(secured.s3, secured.bucket):
        yield key, s3.get_object(Bucket=secured.bucket, Key=key)["Body"].read().decode("latin-1")
    with secured.redis_master() as redis:
        found = [(key, redis.dump(key)) for key in redis.scan_iter()]
    assert found
    for key, value in found:
        yield key.decode(), value.decode("latin-1")
