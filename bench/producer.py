"""The producer with everything on, beside a bare loop that only reads with warcio and sends with kafka-python.

    python -m bench.producer [--mb 300] [--rounds 3]

Each measurement is a process of its own, on the same files and broker, with lz4; rounds are interleaved and the median
counts. The bare loop has no transactions, no progress, no resume, no bound on its memory and no look at damage.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import psutil
from kafka import KafkaProducer
from warcio import ArchiveIterator

from bench import report
from bench.corpus import HOME, raw_bytes, sample_files
from conf.settings import Settings, load_settings
from producers.ingest import Ingester
from producers.report import Outcome
from producers.sources.discover import discover
from producers.topic.message import partition_of
from producers.topic.topics import MAX_MESSAGE_BYTES, ensure_topics
from producers.workers import ingest_all
from wetstream.servers import embedded

SHARED_DATA = Path(os.environ.get("WETSTREAM_SHARED_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
WEB = SHARED_DATA / "web" / "web-pages-1519.warc.wet.gz"
WEB_COPIES = 10
FILES = 2
WAYS = ("bare", "one producer", "one worker", "two workers")


def settings_of(kafka: str, workers: int) -> Settings:
    flags = {
        "home": str(HOME / "home"),
        "pipeline": f"bench-{uuid.uuid4().hex[:12]}",
        **json.loads(kafka),
        "producer.workers": workers,
        "producer.compression": "lz4",
    }
    return load_settings(flags=flags, environ={})


def web_files() -> list[Path]:
    """The real pages ten times over, in two files; gzip members may simply be joined."""
    if not WEB.exists():
        print(f"without {WEB.name}: the real pages are not present", file=sys.stderr)
        return []
    paths = []
    for number in range(FILES):
        path = HOME / f"web-{WEB_COPIES}" / f"{number}.warc.wet.gz"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(WEB.read_bytes() * (WEB_COPIES // FILES))
        paths.append(path)
    return paths


def bare(settings: Settings, paths: list[Path]) -> None:
    """Read and send."""
    topic = ensure_topics(settings, settings.bootstrap_servers).records
    producer = KafkaProducer(
        **settings.bootstrap_servers.client_options(),
        compression_type="lz4",
        acks="all",
        linger_ms=50,
        batch_size=1 << 20,
        max_request_size=MAX_MESSAGE_BYTES,
    )
    for path in paths:
        partition = partition_of(str(path), topic.partitions)
        with path.open("rb") as file:
            records = ArchiveIterator(file, no_record_parse=True)
            for record in records:
                value = record.rec_headers.to_bytes() + record.raw_stream.read()
                key = f"{path}@{records.get_record_offset()}".encode()
                producer.send(topic.name, key=key, value=value, partition=partition)
        producer.flush()
    producer.close()


def one_producer(settings: Settings, paths: list[Path]) -> None:
    """What a worker process does."""
    servers = settings.bootstrap_servers
    ingester = Ingester(settings, servers, ensure_topics(settings, servers), allow_copies=True)
    for source in discover([str(path) for path in paths]):
        outcome = ingester.ingest(source)
        assert outcome.state == "done", outcome
    ingester.close()


def workers(settings: Settings, paths: list[Path]) -> None:
    """What `wetstream ingest --workers N` does: N worker processes, and this one that starts them."""
    servers = settings.bootstrap_servers
    sources = discover([str(path) for path in paths])
    for event in ingest_all(settings, servers, ensure_topics(settings, servers), sources, allow_copies=True):
        assert not isinstance(event, Outcome) or event.state == "done", event


def work(way: str, kafka: str, paths: list[Path]) -> None:
    """Body of a measured process: the seconds of the way go to stdout."""
    settings = settings_of(kafka, 2 if way == "two workers" else 1)
    began = time.perf_counter()
    {"bare": bare, "one producer": one_producer}.get(way, workers)(settings, paths)
    print(time.perf_counter() - began)


def measure(way: str, kafka: str, paths: list[Path]) -> dict[str, float]:
    """Seconds, CPU seconds of all its processes, and the largest memory of one of them."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.producer", "--way", way, kafka, *map(str, paths)],
        stdout=subprocess.PIPE,
        text=True,
    )
    # Looked at while they live: the workers are no children that this process could account for.
    cpu_s: dict[int, float] = {}
    largest = 0
    me = psutil.Process(process.pid)
    while process.poll() is None:
        try:
            for one in (me, *me.children(recursive=True)):
                times = one.cpu_times()
                cpu_s[one.pid] = times.user + times.system
                largest = max(largest, one.memory_info().rss)
        except psutil.Error:
            pass
        time.sleep(0.02)
    assert process.stdout is not None
    out = process.stdout.read()
    if process.returncode:
        sys.exit(f"{way} ended with code {process.returncode}")
    return {"seconds": float(out), "cpu_s": sum(cpu_s.values()), "rss_mb": largest / 1e6}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mb", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--way", nargs="+", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.way:
        way, kafka, *paths = given.way
        work(way, kafka, [Path(path) for path in paths])
        return
    corpora = {f"sample, {given.mb} MB": sample_files(given.mb, FILES)}
    if web := web_files():
        corpora[f"web-pages-1519, {WEB_COPIES} times"] = web
    home = HOME / "producer-servers"
    endpoints = embedded.up(home, redis=False, log=lambda line: None)
    assert endpoints.bootstrap_servers is not None
    kafka = json.dumps(endpoints.bootstrap_servers.as_settings())
    rows: list[dict[str, Any]] = []
    ratios: dict[str, float] = {}
    try:
        measure("one producer", kafka, next(iter(corpora.values())))  # the broker gets warm
        for name, paths in corpora.items():
            mb = raw_bytes(paths) / 1e6
            runs: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
            for _ in range(given.rounds):
                for way in WAYS:
                    runs[way].append(measure(way, kafka, paths))
                    print(f"{name}: {way}: {json.dumps(runs[way][-1])}", file=sys.stderr)
            median = {
                way: {key: statistics.median(run[key] for run in runs[way]) for key in runs[way][0]} for way in WAYS
            }
            rows += [
                {
                    "files": name,
                    "way": way,
                    "MB/s of records": mb / median[way]["seconds"],
                    "seconds": median[way]["seconds"],
                    "CPU s a GB": median[way]["cpu_s"] / mb * 1000,
                    "largest RSS of a process, MB": max(run["rss_mb"] for run in runs[way]),
                }
                for way in WAYS
            ]
            bare_s, own_s = median["bare"]["seconds"], median["one producer"]["seconds"]
            one, two = median["one worker"], median["two workers"]
            ratios[f"{name}: speed of one producer to the bare loop (at least 0.75)"] = bare_s / own_s
            ratios[f"{name}: CPU a GB of two workers to one (at most 1.15)"] = two["cpu_s"] / one["cpu_s"]
            ratios[f"{name}: speed of two workers to one"] = one["seconds"] / two["seconds"]
        own = [row for row in rows if row["way"] != "bare"]
        ratios["largest RSS of a worker to 200 MB (at most 1)"] = (
            max(row["largest RSS of a process, MB"] for row in own) / 200
        )
    finally:
        embedded.down(home, log=lambda line: None)
    notes = (
        f"Median of {given.rounds} interleaved rounds on a broker on the same machine. CPU includes starting Python "
        "(the broker's is not counted). A producer is what a worker process runs; with workers, the time also holds "
        "the start of their processes."
    )
    report.write("producer", "The producer beside a bare loop", ratios, rows, notes)


if __name__ == "__main__":
    main()
