"""Worker processes: they never outlive the main process."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from conf.settings import Settings
from producers.sample.writer import write_sample
from tests.producers.ingest_process import start
from tests.producers.topic import markers


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_worker_in_a_long_call_dies_with_the_main_process() -> None:
    main = subprocess.Popen([sys.executable, "-m", "tests.producers.long_call"], stdout=subprocess.PIPE, text=True)
    assert main.stdout is not None
    worker = int(main.stdout.readline())
    assert psutil.pid_exists(worker)
    main.send_signal(signal.SIGKILL)
    main.wait()
    try:
        wait_until(lambda: not psutil.pid_exists(worker))
    finally:
        if psutil.pid_exists(worker):
            psutil.Process(worker).kill()


def test_workers_die_with_the_main_process(make_settings: Callable[..., Settings], tmp_path: Path) -> None:
    settings = make_settings(producer__workers=2, producer__transaction_ms=50)
    paths = [write_sample(tmp_path / f"{seed}.wet.gz", raw_bytes=60_000_000, seed=seed).path for seed in (1, 2)]
    main = start(settings, *paths)
    wait_until(lambda: any(marker.records > 100 for marker in markers(settings).values()))
    children = psutil.Process(main.pid).children(recursive=True)
    assert len(children) >= 3
    main.send_signal(signal.SIGKILL)
    main.wait()
    _, alive = psutil.wait_procs(children, timeout=20)
    for process in alive:
        process.kill()
    assert alive == []
