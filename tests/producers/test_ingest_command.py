"""`wetstream ingest` as a person runs it: plan, summary, exit codes, Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from conf.settings import Settings
from producers.sample.writer import write_sample
from producers.sources.identity import source_id
from tests.producers.http_server import serve
from tests.producers.topic import assert_whole, markers, read_topic
from tests.producers.wet_forms import put, wet_file

MakeSettings = Callable[..., Settings]


def command(settings: Settings, *arguments: object) -> list[str]:
    flags = {
        "home": settings.home,
        **settings.bootstrap_servers.as_settings(),
        "redis.url": settings.redis.url.get_secret_value(),
        "kafka.partitions": settings.kafka.partitions,
        "producer.transaction_ms": settings.producer.transaction_ms,
        "producer.transaction_bytes": settings.producer.transaction_bytes,
    }
    sets = [part for key, value in flags.items() for part in ("--set", f"{key}={value}")]
    start = [sys.executable, "-m", "wetstream", "ingest", "--pipeline", settings.pipeline]
    return [*start, *sets, *map(str, arguments)]


def run(settings: Settings, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(settings, *arguments), capture_output=True, text=True, timeout=120, check=False)


def test_good_and_bad_sources_side_by_side(make_settings: MakeSettings, tmp_path: Path) -> None:
    settings = make_settings()
    good = put(tmp_path, "good.warc.wet.gz", wet_file("gzip").data)
    html = put(tmp_path, "page.warc.wet.gz", b"<html>")
    plan = run(settings, "--dry-run", "--json", good, html)
    assert plan.returncode == 1
    planned = json.loads(plan.stdout)
    assert [row["action"] for row in planned["sources"]] == ["start", "refused"]
    assert planned["total"]["sources"] == 1
    assert planned["total"]["file_bytes"] == good.stat().st_size
    assert planned["total"]["raw_bytes"] > planned["total"]["file_bytes"] > 0
    assert markers(settings) == {}

    shown = run(settings, good, html)
    assert shown.returncode == 1
    assert "Traceback" not in shown.stdout + shown.stderr
    assert "page.warc.wet.gz is an HTML page" in shown.stdout
    assert_whole(settings, good)
    again = run(settings, "--json", good)
    assert again.returncode == 0
    assert json.loads(again.stdout)[0]["state"] == "already"


def test_failed_source_is_retried_once_and_then_listed(make_settings: MakeSettings, tmp_path: Path) -> None:
    settings = make_settings()
    listing = put(tmp_path, "wet.paths", b"gone.warc.wet.gz\nhere.warc.wet.gz\n")
    here = put(tmp_path, "here.warc.wet.gz", wet_file("gzip").data)
    shown = run(settings, "--workers", 1, listing)
    assert shown.returncode == 1
    assert shown.stderr.count("it is tried again at the end") == 1
    assert "gone.warc.wet.gz cannot be read: No such file or directory" in shown.stdout
    assert_whole(settings, here)


@pytest.mark.parametrize(("number", "send", "code"), [(signal.SIGINT, os.kill, 130), (signal.SIGTERM, os.killpg, 143)])
def test_signal_stops_at_a_transaction_and_the_next_run_resumes(
    number: signal.Signals,
    send: Callable[[int, int], None],
    code: int,
    make_settings: MakeSettings,
    tmp_path: Path,
) -> None:
    settings = make_settings(producer__transaction_ms=50, producer__transaction_bytes=1 << 20)
    paths = [write_sample(tmp_path / f"{seed}.wet.gz", raw_bytes=6_000_000, seed=seed).path for seed in (1, 2)]
    with serve(tmp_path) as server:
        urls = [f"{server.url}/{path.name}" for path in paths]
        # The server falls silent in the middle of both files: the signal comes before the end at any pace.
        server.silent_from = 1_200_000
        process = subprocess.Popen(
            command(settings, *urls), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        deadline = time.monotonic() + 60
        while not (len(markers(settings)) == 2 and server.seen["stall"] >= 2) and time.monotonic() < deadline:
            time.sleep(0.05)
        send(process.pid, number)
        out, err = process.communicate(timeout=100)
        assert process.returncode == code, out + err
        assert "stopped; the next run goes on here" in out
        assert "Traceback" not in out + err
        before = markers(settings)
        assert sum(marker.records for marker in before.values()) > 100
        found = read_topic(settings)
        # Ended at a commit: all that is visible is covered by the markers, and nothing hangs open.
        assert {source: len(messages.values) for source, messages in found.items()} == {
            source: marker.records for source, marker in before.items() if marker.records
        }
        server.silent_from = None
        assert run(settings, *urls).returncode == 0
        assert_whole(settings, *paths, url=server.url)
        for url in urls:
            assert markers(settings)[source_id(url)].state == "done"
