"""The same stream with documents in a bucket (moto's S3 server on this machine) and in a folder, in turn.

    python -m bench.storage [--mb 200] [--repeat 3]

Both read the same topic in the same Spark session. The seconds of processors are those of driver, JVM and Python
workers, without the S3 server, which a real bucket would have elsewhere.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import time
from typing import Any

import psutil

from bench import report
from bench.corpus import HOME, ingest, raw_bytes, sample_files
from bench.stream import Bench, fresh
from conf.settings import changed_settings
from tests.object_stores import KEYS, make_bucket, options, s3_server
from wetstream import Pipeline
from wetstream.servers import embedded

PLACES = ("folder", "bucket")


def cpu_s(without: set[int]) -> float:
    """Seconds of processors that this process and its children have used, without some of them."""
    me, total = psutil.Process(), 0.0
    for process in [me, *me.children(recursive=True)]:
        if process.pid not in without:
            with contextlib.suppress(psutil.Error):
                used = process.cpu_times()
                # Ended children of Spark's Python daemon are in its own times.
                ended = used.children_user + used.children_system if process != me else 0.0
                total += used.user + used.system + ended
    return total


def measured(bench: Bench, pipeline: Pipeline, without: set[int]) -> tuple[float, float]:
    """Seconds and seconds of processors of one stream over the whole topic."""
    bench.connections.redis.flushdb()
    fresh(pipeline)
    began, used = time.perf_counter(), cpu_s(without)
    pipeline.stream()
    return time.perf_counter() - began, cpu_s(without) - used


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mb", type=int, default=200)
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    os.environ.update(KEYS)
    endpoints = embedded.up(HOME / "servers")
    servers = {process.pid for process in psutil.Process().children(recursive=True)}
    taken: dict[str, list[tuple[float, float]]] = {place: [] for place in PLACES}
    try:
        with s3_server() as endpoint:
            servers |= {process.pid for process in psutil.Process().children(recursive=True)}
            bench = Bench(endpoints)
            paths = sample_files(arguments.mb, 8)
            local = bench.pipeline("storage")
            flags = {f"documents.storage.{name}": value for name, value in options(endpoint).items()}
            flags["documents.path"] = make_bucket(endpoint, "bench-bucket")
            remote = Pipeline(settings=changed_settings(local.settings, flags))
            ingest(local, paths)
            measured(bench, local, servers)  # warm
            for turn in range(arguments.repeat):
                for place in PLACES if turn % 2 else reversed(PLACES):
                    taken[place].append(measured(bench, local if place == "folder" else remote, servers))
                    print(place, taken[place][-1], flush=True)
            bench.close()
    finally:
        embedded.down(HOME / "servers")
    mb = raw_bytes(paths) / 1e6
    rows: list[dict[str, Any]] = [
        {"documents": place, "MB": mb, "seconds": seconds, "CPU seconds": cpu}
        for place in PLACES
        for seconds, cpu in taken[place]
    ]
    best = {place: [min(column) for column in zip(*taken[place], strict=True)] for place in PLACES}
    ratios = {
        f"bucket / folder, {what}": best["bucket"][i] / best["folder"][i] for i, what in enumerate(("time", "CPU"))
    }
    notes = f"{arguments.repeat} times in turn, best against best; the S3 server shares the cores with the stream."
    report.write("storage", "Documents in a bucket and in a folder", ratios, rows, notes)


if __name__ == "__main__":
    main()
