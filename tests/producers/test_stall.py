"""The broker stands still for 20 seconds: memory stays bounded, nothing is lost, nobody is said to be fenced."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from conf.addresses import BootstrapServers
from conf.settings import Settings
from producers.sample.writer import write_sample
from tests.producers.ingest_process import start
from tests.producers.topic import assert_whole, markers

MakeSettings = Callable[..., Settings]


def broker(bootstrap_servers: BootstrapServers) -> psutil.Process:
    port = int(bootstrap_servers.addresses.rpartition(":")[2])
    for connection in psutil.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
            return psutil.Process(connection.pid)
    raise AssertionError(f"nobody listens on {port}")


def ingest_through_a_stall(make_settings: MakeSettings, tmp_path: Path, seconds: float) -> None:
    settings = make_settings(producer__transaction_bytes=8 << 20)
    path = write_sample(tmp_path / "it.wet.gz", raw_bytes=250_000_000).path
    process = start(settings, path)
    deadline = time.monotonic() + 60
    while not any(marker.records > 500 for marker in markers(settings).values()) and time.monotonic() < deadline:
        time.sleep(0.1)
    java = broker(settings.bootstrap_servers)
    java.send_signal(signal.SIGSTOP)
    memory = []
    try:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            memory.append(psutil.Process(process.pid).memory_info().rss)
            assert process.poll() is None
            time.sleep(0.5)
    finally:
        java.send_signal(signal.SIGCONT)
    try:
        out, _ = process.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    assert out.startswith("done"), out
    # Filled within a second of the stall, and no more after it.
    assert max(memory) < 200e6
    assert max(memory[4:]) - memory[4] < 20e6
    assert_whole(settings, path)


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [20, 45])
def test_stalled_broker(seconds: float, make_settings: MakeSettings, tmp_path: Path) -> None:
    """20 s: shorter than the transaction timeout. 45 s: the broker has aborted the transaction; it is sent again."""
    ingest_through_a_stall(make_settings, tmp_path, seconds)
