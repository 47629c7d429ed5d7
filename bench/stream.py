"""Streaming a filled topic, with documents, statistics and protocol, beside the P2.1 batch job written the usual way.

    python -m bench.stream [--mb 1000] [--baseline-mb 300]

Both count the same kind of pages by the same rules on the same cores, one after the other in one run. The stream is
warm (one small pipeline was streamed before in the same process); so is the batch job (its workers are started).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

from bench import report
from bench.corpus import HOME, raw_bytes, sample_files
from conf.profiles import load_profile
from conf.settings import Settings, load_settings
from producers.discover import discover
from producers.topics import ensure_topics
from producers.workers import ingest_all
from sinks.derive import derive
from sinks.generations import Generations
from sinks.heal import Builds
from streaming.query import Progress
from streaming.session import start_session
from streaming.stream import Connections, Stream
from wetstream.connect import open_redis
from wetstream.servers import embedded
from wetstream.servers.jars import default_cache, obtain_jars
from wetstream.servers.java import find_java
from wetstream.spark_java import quiet_java

CORES = 2


def settings_of(endpoints: embedded.Endpoints, pipeline: str) -> Settings:
    flags = {
        "home": str(HOME / "home"),
        "pipeline": pipeline,
        "kafka.bootstrap_servers": endpoints.bootstrap_servers,
        "redis.url": endpoints.redis_url,
        "stream.master": f"local[{CORES}]",
        "stream.driver_memory": "3g",
    }
    return load_settings(flags=flags, environ={})


def fill(settings: Settings, endpoints: embedded.Endpoints, paths: list[Path]) -> float:
    """Ingest into a new topic; returns seconds."""
    assert endpoints.bootstrap_servers is not None
    began = time.perf_counter()
    topics = ensure_topics(settings, endpoints.bootstrap_servers)
    for _ in ingest_all(settings, endpoints.bootstrap_servers, topics, discover([str(path) for path in paths])):
        pass
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mb", type=int, default=1000)
    parser.add_argument("--baseline-mb", type=int, default=300)
    arguments = parser.parse_args()
    corpus = sample_files(arguments.mb, 4)
    small = sample_files(20, 2)
    part = sample_files(arguments.baseline_mb, CORES)
    run = uuid.uuid4().hex[:6]
    endpoints = embedded.up(HOME / "servers")
    try:
        rows = list(measure(endpoints, run, corpus, small))
    finally:
        embedded.down(HOME / "servers")
    rows.append(batch(part))
    speed = {str(row["what"]): float(row["MB/s"]) for row in rows}
    ratios = {
        "stream / P2.1 batch of RDDs": speed["stream"] / speed["P2.1 batch, RDDs of strings"],
        "rebuild of Redis / stream": speed["rebuild Redis from the documents"] / speed["stream"],
    }
    notes = f"{arguments.mb} MB of `wetstream sample`, profile p21; the batch job on {arguments.baseline_mb} MB."
    report.write("stream", "Streaming a filled topic", ratios, rows, notes)


def measure(endpoints: embedded.Endpoints, run: str, corpus: list[Path], small: list[Path]) -> list[dict[str, Any]]:
    total = raw_bytes(corpus)
    warm, real = settings_of(endpoints, f"warm-{run}"), settings_of(endpoints, f"bench-{run}")
    java = find_java(HOME)
    jars = obtain_jars(default_cache(), java, print)
    spark = start_session(real, java_home=quiet_java(java.executable, HOME), jars=jars.connector)
    assert endpoints.redis_url is not None and endpoints.bootstrap_servers is not None
    redis = open_redis(endpoints.redis_url)
    profile = load_profile("p21")
    fill(warm, endpoints, small)
    ingest_s = fill(real, endpoints, corpus)
    connections = Connections(endpoints.bootstrap_servers, redis, spark)
    Stream(warm, profile, connections).run(once=True)
    phases: dict[str, float] = {}

    def note(progress: Progress) -> None:
        print(progress.rows, {name: round(s, 2) for name, s in progress.seconds.items()})
        for name, seconds in progress.seconds.items():
            phases[name] = phases.get(name, 0.0) + seconds

    began = time.perf_counter()
    Stream(real, profile, connections, on_progress=note).run(once=True)
    stream_s = time.perf_counter() - began
    found = Generations(real.documents_path, real.pipeline).open_live()
    assert found is not None
    builds = Builds(redis, real.pipeline, chunk_words=real.redis.chunk_words, top_words=real.redis.top_words)
    began = time.perf_counter()
    builds.rebuild(found[1], found[0], found[1].position())
    rebuild_s = time.perf_counter() - began
    began = time.perf_counter()
    derive(found[1].scan())
    derive_s = time.perf_counter() - began
    spark.stop()
    mb = total / 1e6
    print({name: round(seconds, 1) for name, seconds in phases.items()}, "derive", derive_s)
    return [
        {"what": "ingest (2 workers)", "MB": mb, "seconds": ingest_s, "MB/s": mb / ingest_s},
        {"what": "stream", "MB": mb, "seconds": stream_s, "MB/s": mb / stream_s},
        {"what": "rebuild Redis from the documents", "MB": mb, "seconds": rebuild_s, "MB/s": mb / rebuild_s},
    ]


def batch(paths: list[Path]) -> dict[str, Any]:
    stop_words = Path(__file__).parents[1] / "conf" / "words" / "english_stop_words.txt"
    command = [sys.executable, "-m", "bench.p21_rdd", str(stop_words), str(CORES), *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds = json.loads(done.stdout.splitlines()[-1])["seconds"]
    mb = raw_bytes(paths) / 1e6
    return {"what": "P2.1 batch, RDDs of strings", "MB": mb, "seconds": seconds, "MB/s": mb / seconds}


if __name__ == "__main__":
    main()
