"""SIGKILL at random, several workers at once: the topic holds every record exactly once, in order."""

from __future__ import annotations

import os
import random
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from conf.settings import Settings
from producers.sample.writer import write_sample
from tests.producers.ingest_process import start
from tests.producers.topic import assert_whole

MakeSettings = Callable[..., Settings]
SMALL = {"producer__transaction_ms": 50, "producer__transaction_bytes": 1 << 20}


def kill_until_done(settings: Settings, paths: list[Path], kills: int, seed: int) -> None:
    chance = random.Random(seed)
    done = 0
    while done < kills:
        process = start(settings, *paths)
        try:
            process.wait(0.9 + chance.random() * 2.5)
            done = kills
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            done += 1
    process = start(settings, *paths)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    assert all(line.startswith(("done", "already")) for line in out.splitlines()), out
    assert_whole(settings, *paths)


def test_killed_at_random_with_two_workers(make_settings: MakeSettings, tmp_path: Path) -> None:
    paths = [write_sample(tmp_path / f"{seed}.wet.gz", raw_bytes=5_000_000, seed=seed).path for seed in range(2)]
    kill_until_done(make_settings(**SMALL, producer__workers=2), paths, kills=2, seed=1)


@pytest.mark.slow
def test_killed_at_random_many_times(make_settings: MakeSettings, tmp_path: Path) -> None:
    paths = [write_sample(tmp_path / f"{seed}.wet.gz", raw_bytes=60_000_000, seed=seed).path for seed in range(4)]
    for seed in range(3):
        pipeline = f"kills-{os.getpid()}-{seed}"
        kill_until_done(make_settings(**SMALL, producer__workers=2, pipeline=pipeline), paths, kills=12, seed=seed)
