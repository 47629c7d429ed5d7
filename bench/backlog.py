"""A backlog beside a trickle: the time of micro-batches against `stream.target_batch_s`, and the memory of the driver.

    python -m bench.backlog [--mb 2000] [--heap 950m]

The topic holds the backlog before the stream starts; while it is worked off, a producer sends a file of 50 records a
second. With a local master the driver's Java heap is that of the executor, too. The first two micro-batches have
sizes that do not depend on the machine (`streaming/admission.py`); what counts are those after them behind which
there was still a backlog.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from pyspark.sql import SparkSession

from bench import report
from bench.corpus import HOME, ingest, raw_bytes, sample_files
from bench.stream import PROFILE, Bench
from conf.settings import Settings
from producers.ingest import Ingester
from producers.sample.writer import write_sample
from producers.sources.discover import discover
from producers.topic.offsets import end_offsets
from producers.topic.topics import ensure_topics
from streaming.query import BatchProgress
from streaming.query_run import Listeners
from streaming.stream import Stream
from wetstream.servers import embedded

TRICKLE_RECORDS = 49  # and the `warcinfo` record
TRICKLE_EVERY_S = 1.0
SAMPLE_S = 0.25
# The first micro-batches, whose sizes are fixed.
FIXED_BATCHES = 2
TOLERANCE = 0.5


class Memory:
    """Peaks of the driver: its used Java heap, and the resident memory of its Python process, in bytes."""

    def __init__(self, spark: SparkSession) -> None:
        self._jvm: Any = spark._jvm
        self._stop = threading.Event()
        self.heap = self.python = 0

    @contextmanager
    def watched(self) -> Iterator[None]:
        thread = threading.Thread(target=self._watch)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()

    def limit(self) -> int:
        return int(self._jvm.java.lang.Runtime.getRuntime().maxMemory())

    def _watch(self) -> None:
        heap = self._jvm.java.lang.management.ManagementFactory.getMemoryMXBean()
        python = psutil.Process()
        while not self._stop.wait(SAMPLE_S):
            self.heap = max(self.heap, int(heap.getHeapMemoryUsage().getUsed()))
            self.python = max(self.python, python.memory_info().rss)


@contextmanager
def trickle(bench: Bench, settings: Settings, folder: Path) -> Iterator[list[int]]:
    """Send a small file a second while inside; gives the numbers of records sent."""
    servers = bench.connections.bootstrap_servers
    ingester = Ingester(settings, servers, ensure_topics(settings, servers))
    stop, sent = threading.Event(), []

    def send() -> None:
        due = time.monotonic()
        while not stop.wait(max(0.0, due - time.monotonic())):
            due += TRICKLE_EVERY_S
            path = write_sample(folder / f"{len(sent)}.warc.wet.gz", records=TRICKLE_RECORDS, seed=len(sent)).path
            ingester.ingest(discover([str(path)])[0])
            sent.append(TRICKLE_RECORDS + 1)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield sent
    finally:
        stop.set()
        thread.join()
        ingester.close()


def counting(batches: list[BatchProgress]) -> list[BatchProgress]:
    """Those micro-batches that were to take the target time: of adapted sizes, with a backlog left behind them."""
    full = [batch for batch in batches if batch.rows]
    return [batch for batch in full[FIXED_BATCHES:] if batch.lag > batch.rows / 2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mb", type=int, default=2000)
    parser.add_argument("--heap", default="950m", help="the limit of the driver's Java heap")
    parser.add_argument("--target", type=float, default=0.0, help="stream.target_batch_s (default: the setting's)")
    arguments = parser.parse_args()
    batches: list[BatchProgress] = []
    endpoints = embedded.up(HOME / "servers")
    try:
        target = {"stream.target_batch_s": arguments.target} if arguments.target else {}
        bench = Bench(endpoints, {"stream.driver_memory": arguments.heap, **target})
        pipeline = bench.pipeline("backlog")
        settings = pipeline.settings
        paths = sample_files(arguments.mb, 8)
        ingest(pipeline, paths)
        topics = ensure_topics(settings, bench.connections.bootstrap_servers)
        memory = Memory(bench.connections.spark)
        stream = Stream(settings, PROFILE, bench.connections, listeners=Listeners(batches.append))
        stream.stop_at(end_offsets(bench.connections.bootstrap_servers, topics.records))
        with (
            tempfile.TemporaryDirectory() as folder,
            trickle(bench, settings, Path(folder)) as sent,
            memory.watched(),
        ):
            began = time.perf_counter()
            stream.run()
            seconds = time.perf_counter() - began
        limit = memory.limit()
        bench.close()
    finally:
        embedded.down(HOME / "servers")
    write(batches, settings.stream.target_batch_s, memory, limit, notes_of(paths, seconds, sum(sent)))


def notes_of(paths: list[Path], seconds: float, trickled: int) -> str:
    return (
        f"{raw_bytes(paths) / 1e9:.2f} GB of `wetstream sample` worked off in {seconds:.0f} s while {trickled} records "
        "arrived; everything shares the cores."
    )


def write(batches: list[BatchProgress], target_s: float, memory: Memory, limit: int, notes: str) -> None:
    rows: list[dict[str, Any]] = [
        {
            "micro-batch": batch.batch_id,
            "records": batch.rows,
            "seconds": batch.seconds["triggerExecution"],
            "offsets left": batch.lag,
        }
        for batch in batches
        if batch.rows
    ]
    times = [batch.seconds["triggerExecution"] / target_s for batch in counting(batches)]
    ratios = {"driver's Java heap at most, GB": memory.heap / 1e9, "its limit, GB": limit / 1e9}
    ratios["driver's Python process at most, GB"] = memory.python / 1e9
    with contextlib.suppress(statistics.StatisticsError):
        ratios["time of a micro-batch / target, median"] = statistics.median(times)
        ratios["the same, shortest"] = min(times)
        ratios["the same, longest"] = max(times)
        ratios["micro-batches within 50 % of the target"] = sum(abs(t - 1) <= TOLERANCE for t in times) / len(times)
    report.write("backlog", f"A backlog beside a trickle, target {target_s:g} s a micro-batch", ratios, rows, notes)


if __name__ == "__main__":
    main()
