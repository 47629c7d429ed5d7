"""Replay from files on a standalone cluster of this machine: two workers of one core each, against one of them.

    python -m bench.cluster [--mb 2000] [--repeat 3]

Driver, Redis and workers share this machine, so its cores bound what a second worker can gain: of two, none
is left for the driver. Processor time is that of the workers, their executors and Python processes, and of the driver,
without Redis and the master; sampled five times a second. Each session has replayed a small corpus before it is timed.
With 2 GB on two cores it takes about ten minutes, two of them for making the corpus the first time.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Any, Self

import psutil

from bench import report
from bench.corpus import HOME, raw_bytes, sample_files
from conf.settings import Settings, changed_settings, load_settings
from streaming.session import start_session
from tests.cluster.standalone import Standalone, standalone
from wetstream import Pipeline
from wetstream.pipeline.connections import open_redis
from wetstream.servers import embedded
from wetstream.servers.java.runtime import find_java
from wetstream.servers.java.spark_runtime import quiet_java

ROOT = Path(__file__).resolve().parents[1]
SAMPLE_S = 0.2
WORKERS = (1, 2)


class ProcessorTime:
    """Processor seconds of this process and all that it has started, while inside, but for some with their children."""

    def __init__(self, without: set[int]) -> None:
        self._without = without
        self._first: dict[tuple[int, float], float] = {}
        self._last: dict[tuple[int, float], float] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._look()
        self._first = dict(self._last)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._look()

    @property
    def seconds(self) -> float:
        return sum(last - self._first.get(process, 0.0) for process, last in self._last.items())

    def _watch(self) -> None:
        while not self._ended.wait(SAMPLE_S):
            self._look()

    def _look(self) -> None:
        me, left_out = psutil.Process(), set(self._without)
        for process in [me, *me.children(recursive=True)]:  # parents first
            try:
                if process.pid in left_out or process.ppid() in left_out:
                    left_out.add(process.pid)
                    continue
                used = process.cpu_times()
                self._last[process.pid, process.create_time()] = used.user + used.system
            except psutil.NoSuchProcess:
                continue


def session_settings(cluster: Standalone, endpoints: embedded.Endpoints, workers: int) -> Settings:
    flags = {
        "home": str(HOME / "home"),
        "pipeline": f"cluster-{uuid.uuid4().hex[:6]}",
        "profile": "p21",
        "redis.url": endpoints.redis_url,
        "stream.master": cluster.url,
        "spark.pyspark.python": sys.executable,
        "spark.cores.max": str(workers),
        "spark.executor.cores": "1",
        "spark.driver.host": "127.0.0.1",
    }
    return load_settings(flags=flags, environ={})


def new_pipeline(settings: Settings) -> Pipeline:
    """A pipeline of its own, which uses the Spark session of this process."""
    return Pipeline(settings=changed_settings(settings, {"pipeline": f"replay-{uuid.uuid4().hex[:8]}"}))


def measure(
    cluster: Standalone, endpoints: embedded.Endpoints, workers: int, paths: list[Path], without: set[int]
) -> tuple[float, float]:
    """Seconds, and processor seconds but for some processes, of a replay by so many workers."""
    assert endpoints.redis_servers is not None
    settings = session_settings(cluster, endpoints, workers)
    java = find_java(HOME)
    spark = start_session(settings, java_home=quiet_java(java.executable, HOME), jars=[])
    try:
        new_pipeline(settings).replay(*sample_files(40, 4))
        with ProcessorTime(without) as processor:
            began = time.perf_counter()
            new_pipeline(settings).replay(*paths)
            seconds = time.perf_counter() - began
        open_redis(endpoints.redis_servers, "bench").flushdb()
    finally:
        spark.stop()
    return seconds, processor.seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mb", type=int, default=2000)
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    paths = sample_files(arguments.mb, 16)
    gb = raw_bytes(paths) / 1e9
    # The executors find the code of this checkout by its path, and the driver by loopback.
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    taken: dict[int, list[tuple[float, float]]] = {workers: [] for workers in WORKERS}
    endpoints = embedded.up(HOME / "servers", kafka=False)
    without = {process.pid for process in psutil.Process().children()}
    try:
        with standalone(HOME / f"cluster-{os.getpid()}", workers=2, environment={"PYTHONPATH": str(ROOT)}) as cluster:
            assert cluster.master is not None
            without.add(cluster.master.pid)
            for turn in range(arguments.repeat):
                for workers in WORKERS if turn % 2 == 0 else reversed(WORKERS):
                    taken[workers].append(measure(cluster, endpoints, workers, paths, without))
                    print(workers, *(round(value, 1) for value in taken[workers][-1]), flush=True)
    finally:
        embedded.down(HOME / "servers")
    rows: list[dict[str, Any]] = []
    for workers, runs in taken.items():
        wall, processor = (statistics.median(run[i] for run in runs) for i in (0, 1))
        rows.append(
            {"workers": workers, "seconds": wall, "MB/s": gb * 1e3 / wall, "processor seconds a GB": processor / gb}
        )
    ratios = {
        "speed-up by the second worker": rows[0]["seconds"] / rows[1]["seconds"],
        "processor time a GB, two workers / one": rows[1]["processor seconds a GB"] / rows[0]["processor seconds a GB"],
    }
    notes = (
        f"Median of {arguments.repeat}, in turn; {gb:.2f} GB of `wetstream sample` in {len(paths)} files, profile p21."
    )
    report.write("cluster", "Replay from files on a standalone cluster", ratios, rows, notes)


if __name__ == "__main__":
    main()
