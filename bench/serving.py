"""Freshness, latency and the cost of event streams of the live statistics: `python -m bench.serving [--quick]`.

latency    stats, top and word over HTTP with a vocabulary of a million words, idle and while `wetstream stream` works
           off a gigabyte of waiting records
clients    the rate of commits of micro-batches to Redis without and with 50 clients on the event stream
freshness  50 records a second into the topic of a running stream; from each producer commit to the API showing them

Starts its own servers in a folder of its own, and ends them.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import re
import statistics as figures
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
from redis import Redis

from bench import report
from bench.api_clients import clients, latencies
from bench.corpus import ingest, sample_files
from conf.settings import Settings, changed_settings, load_settings
from producers.sample.writer import write_sample
from producers.sources.discover import discover
from producers.topic.topics import ensure_topics
from serving.queries import LiveStatistics, NoStatisticsError
from sinks.keys import Keys, build_prefix, live_key, status_key
from sinks.statistics.store import Statistics
from sinks.statistics.sums import SourceCount, Sums
from wetstream import Pipeline
from wetstream.pipeline.connections import find_redis, find_servers, open_redis
from wetstream.servers import embedded

WARM_FILES = 5
PROFILE = "p21"


@contextmanager
def served(settings: Settings) -> Iterator[str]:
    """`wetstream serve` as it is run: a process of its own."""
    given = {"WETSTREAM_HOME": str(settings.home), "WETSTREAM_PIPELINE": settings.pipeline}
    command = [sys.executable, "-u", "-m", "wetstream", "serve", "--port", "0"]
    with subprocess.Popen(command, env=os.environ | given, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = re.search(r"http://[0-9.:]+", process.stdout.readline())
            assert address, "the server did not start"
            yield address.group()
        finally:
            process.terminate()


def sums_of(vocabulary: int, words: int, documents: int) -> Sums:
    """A micro-batch: `words` distinct words of a vocabulary, frequencies as in texts."""
    rng = np.random.default_rng()
    chosen = np.sort(rng.choice(vocabulary, words, replace=False))
    df = np.minimum(rng.zipf(1.5, words), documents).astype(np.int64)
    table = pa.table({"word": pa.array([b"word%08d" % n for n in chosen], pa.binary()), "tf": df * 2, "df": df})
    sums = Sums(words=table)
    for length in rng.lognormal(5.6, 1.2, documents).astype(int):
        sums.lengths[int(length)] += 1
    sums.add_source("bench", "", SourceCount(documents, int(df.sum()) * 2, documents * 4000))
    return sums


def wait_until_ready(url: str) -> None:
    """Until the first snapshot is there, and all that starts with a server is over."""
    with httpx.Client(base_url=url) as client:
        while client.get("/api/v1/words/bottom").status_code != 200:
            time.sleep(0.1)
    time.sleep(2)


class Backfill:
    """Commits micro-batches of 50,000 words as fast as Redis takes them."""

    def __init__(self, client: Redis, settings: Settings, vocabulary: int) -> None:
        pipeline = settings.pipeline
        keys, redis = Keys(build_prefix(pipeline, "g", 1)), settings.redis
        self.statistics = Statistics(client, keys, chunk_words=redis.chunk_words, top_words=redis.top_words)
        self._client, self._pipeline = client, pipeline
        self._position = 0
        self._batches = [sums_of(vocabulary, min(50_000, vocabulary), 5_000) for _ in range(4)]

    def commit(self, sums: Sums) -> None:
        start = {"t/0": self._position} if self._position else {}
        self._position += 1
        self.statistics.commit(sums, start, {"t/0": self._position})
        self._client.hset(status_key(self._pipeline), mapping={"at": time.time(), "lag": 1, "records_per_s": 1})

    def fill(self, vocabulary: int) -> None:
        self.commit(sums_of(vocabulary, vocabulary, 20_000))
        self._client.set(live_key(self._pipeline), self.statistics.keys.prefix)

    def run(self, stop: threading.Event) -> int:
        done = 0
        while not stop.is_set():
            self.commit(self._batches[done % len(self._batches)])
            done += 1
        return done


@contextmanager
def behind(work: Callable[[threading.Event], Any]) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=work, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@contextmanager
def streaming(settings: Settings) -> Iterator[int]:
    """`wetstream stream --once` as it is run, from its first commit on; gives its pid."""
    given = {"WETSTREAM_HOME": str(settings.home), "WETSTREAM_PIPELINE": settings.pipeline}
    limit = f"stream.max_records={settings.stream.max_records}"
    command = [
        sys.executable,
        "-m",
        "wetstream",
        "stream",
        "--once",
        "--profile",
        PROFILE,
        "--set",
        limit,
    ]
    statistics = LiveStatistics(open_redis(find_redis(settings), settings.pipeline), settings.pipeline)

    def records() -> int:
        try:
            return int(statistics.stats()["records"])
        except NoStatisticsError:
            return 0

    before = records()
    with subprocess.Popen(command, env=os.environ | given, stdout=subprocess.DEVNULL) as process:
        while records() == before and process.poll() is None:
            time.sleep(0.1)
        yield process.pid
        assert process.wait() == 0


def commit_rate(backfill: Backfill, seconds: float) -> float:
    stop, began = threading.Event(), time.monotonic()
    threading.Timer(seconds, stop.set).start()
    return backfill.run(stop) / (time.monotonic() - began)


def freshness(settings: Settings, seconds: float, folder: Path) -> dict[str, float]:
    """Return the age at which records are first seen in the API, counted from the producer's commit.

    One producer that runs all the time sends a file of 50 records a second; the API is asked every 50 ms. It starts
    when the first files were seen, so Spark is warm.
    """
    from producers.ingest import Ingester

    servers = find_servers(settings)
    topics = ensure_topics(settings, servers.bootstrap_servers)
    pipeline = Pipeline(settings=changed_settings(settings, {"profile": "english"}))
    running = threading.Thread(target=pipeline.stream, kwargs={"once": False})
    running.start()
    produced: list[tuple[int, float]] = []
    seen: list[tuple[int, float]] = []
    files = [
        write_sample(folder / f"{n}.warc.wet.gz", records=49, seed=n).path for n in range(int(seconds) + WARM_FILES)
    ]

    def produce(stop: threading.Event) -> None:
        ingester = Ingester(settings, servers.bootstrap_servers, topics)
        due = time.monotonic()
        for number, file in enumerate(files):
            for source in discover([str(file)]):
                assert ingester.ingest(source).finished
            produced.append((50 * (number + 1), time.monotonic()))
            while number + 1 == WARM_FILES and (not seen or seen[-1][0] < produced[-1][0]) and not stop.is_set():
                time.sleep(0.1)
                due = time.monotonic()
            due += 1
            time.sleep(max(0, due - time.monotonic()))
        ingester.close()

    with served(settings) as url, httpx.Client(base_url=url) as client, behind(produce):
        until = time.monotonic() + seconds * 3 + 60
        while time.monotonic() < until and (not seen or seen[-1][0] < 50 * len(files)):
            answer = client.get("/api/v1/stats")
            if answer.status_code == 200 and (not seen or answer.json()["records"] > seen[-1][0]):
                seen.append((answer.json()["records"], time.monotonic()))
            time.sleep(0.05)
    pipeline.stop()
    running.join()
    ages = []
    for total, at in produced[WARM_FILES:]:
        ages.append(next((when for records, when in seen if records >= total), float("inf")) - at)
    rate = 50 * (len(ages) - 1) / (produced[-1][1] - produced[WARM_FILES][1])
    return {
        "p50_s": round(figures.median(ages), 2),
        "p95_s": round(float(np.percentile(ages, 95)), 2),
        "records_per_s": round(rate, 1),
    }


def write_report(result: dict[str, Any], seconds: float) -> None:
    rows = [
        {
            "question": name,
            "while": state,
            "asked": times["asked"],
            "p50 ms": times["p50_ms"],
            "p99 ms": times["p99_ms"],
        }
        for state in ("idle", "backfill")
        for name, times in result[state].items()
    ]
    ratios = {"rate of commits with 50 clients on the event stream / without": result["with_clients"]}
    if fresh := result.get("freshness"):
        ratios |= {"freshness, p50 s": fresh["p50_s"], "freshness, p95 s": fresh["p95_s"]}
    notes = (
        f"{result['vocabulary']:,} words; idle for {seconds:.0f} s, and while `wetstream stream` works off 1.05 GB of "
        "waiting records; a client that asks 50 times a second. Everything shares the cores."
    )
    report.write("serving", "The HTTP API", ratios, rows, notes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a short check of the benchmark itself")
    parser.add_argument("--no-freshness", action="store_true")
    parser.add_argument("--chunk-words", type=int, help="words in one call to Redis (default: the setting's)")
    parser.add_argument("--seconds", type=float, default=60.0, help="of each measurement")
    options = parser.parse_args()
    mb, seconds = (40, 3.0) if options.quick else (1_000, options.seconds)
    first, backlog = sample_files(mb, 8), sample_files(mb * 21 // 20, 21)
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        flags = {"home": str(home), "kafka.partitions": 4}
        if options.quick:
            flags["stream.max_records"] = 300  # so that a small backlog lasts long enough to ask something meanwhile
        if options.chunk_words:
            flags["redis.chunk_words"] = options.chunk_words
        settings = load_settings(flags=flags, environ={})
        running = embedded.up(home, log=lambda line: None)
        try:
            assert running.redis_servers is not None
            words = settings.model_copy(update={"pipeline": "words"})
            ingest(Pipeline(settings=words), first)
            with streaming(words):
                pass
            ingest(Pipeline(settings=words), backlog)
            client = open_redis(running.redis_servers, "words")
            keys = Keys(str(client.get(live_key("words")), "utf-8"))
            result["vocabulary"] = client.hlen(keys.words)
            known = [word.decode() for word in client.hrandfield(keys.words, 10_000)]
            with served(words) as url:
                wait_until_ready(url)
                result["idle"] = latencies(url, known, seconds)
                with streaming(words) as pid:
                    result["backfill"] = latencies(url, known, 10 * seconds, pid)
            commits = settings.model_copy(update={"pipeline": "commits"})
            backfill = Backfill(client, commits, result["vocabulary"])
            backfill.fill(result["vocabulary"])
            with served(commits) as url:
                wait_until_ready(url)
                rates: dict[int, list[float]] = {0: [], 50: []}
                for order in itertools.islice(itertools.cycle([(0, 50), (50, 0)]), 1 if options.quick else 8):
                    for number in order:
                        with clients(url, number):
                            rates[number].append(commit_rate(backfill, seconds / 4))
            result["chunk_words"] = settings.redis.chunk_words
            result["commits_per_s"] = {f"{n} clients": round(figures.mean(rate), 2) for n, rate in rates.items()}
            # Of each pair by itself: the machine's pace changes from one to the next.
            result["with_clients"] = figures.median(b / a for a, b in zip(*rates.values(), strict=True))
            if not options.no_freshness:
                result["freshness"] = freshness(settings, 12 if options.quick else 120, home)
        finally:
            embedded.down(home, lambda line: None)
    print(json.dumps(result, indent=2))
    if not options.quick:
        write_report(result, seconds)


if __name__ == "__main__":
    main()
