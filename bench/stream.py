"""Streaming a filled topic, replaying from files and rebuilding, beside the batch jobs that people use.

    python -m bench.stream [--mb 1000] [--copies 60] [--baseline-mb 200]

All count the same kind of pages on the same cores, one after the other in one run, warm: the stream has just run over a
small topic in the same process, the batch jobs have started their workers. The topic is filled before. Each is done
several times, and its best time counts: other work on the machine only ever adds to it.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from bench import report
from bench.corpus import HOME, ingest, page_copies, raw_bytes, sample_files
from conf.profiles import load_profile
from conf.settings import Settings, load_settings
from producers.topic.topics import describe_topic
from sinks.documents.generations import Generations
from sinks.keys import Keys, build_prefix
from sinks.position import Position
from sinks.statistics.chunk import Chunk, TopCutoff
from sinks.statistics.resp import packed_column, packed_rows
from sinks.statistics.sums import Sums
from sinks.statistics.transactions import transaction_pipeline
from sinks.storage.folder import Folder
from streaming.admission import Admission
from streaming.connections import Connections
from streaming.query import Query, read_topic
from streaming.session import start_session
from streaming.statistics_committer import StatisticsCommitter
from streaming.tasks.fused import TaskConfig
from streaming.tasks.partials import read_partials
from wetstream import Pipeline
from wetstream.pipeline.connections import open_redis
from wetstream.servers import embedded
from wetstream.servers.java.jars import default_cache, obtain_jars
from wetstream.servers.java.runtime import find_java
from wetstream.servers.java.spark_runtime import quiet_java

CORES = 2
PROFILE = load_profile("p21")
STOP_WORDS = Path(__file__).parents[1] / "conf" / "words" / "english_stop_words.txt"

# Modules; they are given WET files, and print their seconds as JSON.
BATCH_JOBS = {
    "P2.1 batch, RDDs of strings": ["bench.p21_rdd", str(STOP_WORDS), str(CORES)],
    "cc-pyspark's word count": ["bench.cc_pyspark", str(CORES)],
}


class Bench:
    """One run: servers, Spark, and pipelines of its own; `flags` are settings that it changes."""

    def __init__(self, endpoints: embedded.Endpoints, flags: Mapping[str, Any] | None = None) -> None:
        assert endpoints.redis_servers is not None and endpoints.bootstrap_servers is not None
        self.endpoints = endpoints
        self._flags = dict(flags or {})
        self.run = uuid.uuid4().hex[:6]
        java = find_java(HOME)
        jars = obtain_jars(default_cache(), java, print)
        settings = self.settings("spark")
        spark = start_session(settings, java_home=quiet_java(java.executable, HOME), jars=jars.connector)
        redis = open_redis(endpoints.redis_servers, "bench")
        self.connections = Connections(endpoints.bootstrap_servers, redis, spark)

    def settings(self, pipeline: str) -> Settings:
        flags = {
            "home": str(HOME / "home"),
            "pipeline": f"{pipeline}-{self.run}",
            "profile": PROFILE.name,
            **self.endpoints.bootstrap_servers.as_settings(),
            "redis.url": self.endpoints.redis_url,
            "stream.master": f"local[{CORES}]",
            "stream.driver_memory": "3g",
            **self._flags,
        }
        return load_settings(flags=flags, environ={})

    def pipeline(self, name: str) -> Pipeline:
        """Its methods use the Spark session of this run, which is warm."""
        return Pipeline(settings=self.settings(name))

    def bare(self, settings: Settings, *, words: bool) -> None:
        """Run the same pass and write the same files, without commits, checks, sources, reasons and positions.

        `words`: add tf and df to Redis all the same, in no transaction.
        """
        topic = describe_topic(settings, self.connections.bootstrap_servers, settings.records_topic)
        assert topic is not None
        folder = settings.home / "bare" / uuid.uuid4().hex
        folder.mkdir(parents=True)
        job = TaskConfig(PROFILE, Folder(folder), settings.documents.compression_level, direct=True)
        starting = dict.fromkeys(range(topic.partitions), 0)
        servers, admission = self.connections.bootstrap_servers, Admission(0, settings.stream.max_records)
        records = read_topic(self.connections.spark, settings, servers, topic, starting, admission.offsets)
        keys = Keys(build_prefix("bare", uuid.uuid4().hex, 1))

        def add_words(sums: Sums, start: Position, finish: Position) -> None:
            word, packed_word = sums.words["word"].combine_chunks(), packed_column(sums.words["word"].combine_chunks())
            tf, df = sums.words["tf"].to_numpy(), sums.words["df"].to_numpy()
            with transaction_pipeline(self.connections.redis) as redis:
                for begin in range(0, len(word), settings.redis.chunk_words):
                    part = slice(begin, begin + settings.redis.chunk_words)
                    chunk = Chunk(word[part], packed_word[part], tf[part], df[part])
                    (entries,) = redis.read(packed_rows(["HMGET", keys.words], chunk.packed, 1))
                    redis.read(*chunk.commands(entries, TopCutoff(b"", 1 << 62), keys, 1)[0])

        with StatisticsCommitter(add_words, {}) as committer:
            number = 0

            def take(partials: pa.Table, batch_id: int, ends: Mapping[int, int]) -> None:
                nonlocal number
                if words:
                    number += 1
                    committer.submit(read_partials(partials), {"bare": number})

            query = Query(records, job, settings, topic, folder / "checkpoint", take, admission, starting, once=True)
            while query.active:
                time.sleep(0.02)
            error = query.failure()
            query.stop()
            committer.flush()
        if error is not None:
            raise error

    def close(self) -> None:
        self.connections.spark.stop()


def output(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def timed(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def own_seconds(job: list[str], paths: list[Path]) -> float:
    """What a batch job reports for itself, without Spark's start."""
    run = [sys.executable, "-m", *job, *map(str, paths)]
    return float(json.loads(output(run).splitlines()[-1])["seconds"])


def fresh(pipeline: Pipeline) -> None:
    """Start a new generation, so that the same topic is streamed again."""
    generations = Generations.of(pipeline.settings)
    generations.point_to(generations.create_next(PROFILE.rules).name)


def corpora(mb: int, copies: int) -> Iterator[tuple[str, list[Path]]]:
    yield f"{mb} MB of `wetstream sample`", sample_files(mb, 8)
    pages = page_copies(copies) if copies else None
    if pages is not None:
        yield f"web-pages-1519, {copies} times", pages


def corpus_actions(bench: Bench, number: int, paths: list[Path], part: list[Path]) -> dict[str, Callable[[], float]]:
    """What is timed over one corpus, which is in the topic afterwards; the batch jobs only read a `part` of it."""
    corpus, files = bench.pipeline(f"corpus{number}"), bench.pipeline(f"files{number}")
    ingest(corpus, paths)
    actions: dict[str, Callable[[], float]] = {
        "stream": lambda: timed(corpus.stream),
        "without protocol": lambda: timed(lambda: bench.bare(corpus.settings, words=True)),
        "fused pass alone": lambda: timed(lambda: bench.bare(corpus.settings, words=False)),
        "rebuild Redis from the documents": lambda: timed(corpus.rebuild),
        "replay --from files": lambda: timed(lambda: files.replay(*paths)),
    }
    for what, job in BATCH_JOBS.items():
        actions[what] = functools.partial(own_seconds, job, part)
    return actions


def best_seconds(
    bench: Bench, warm: Pipeline, number: int, actions: dict[str, Callable[[], float]], repeat: int
) -> dict[str, float]:
    """The best time of each action, of `repeat` rounds over all of them."""
    taken: dict[str, list[float]] = {}
    order = list(actions)
    for _ in range(repeat):
        # Spark ends Python workers that nobody needs for a minute, and the batch jobs take longer than that.
        fresh(warm)
        warm.stream()
        fresh(bench.pipeline(f"corpus{number}"))
        for what in order:
            bench.connections.redis.flushdb()
            taken.setdefault(what, []).append(actions[what]())
            print(what, round(taken[what][-1], 1), flush=True)
        # The first one finds a colder machine: the stream and what it is compared with take turns.
        order[:3] = reversed(order[:3])
    return {what: min(times) for what, times in taken.items()}


def ratios_of(name: str, seconds: dict[str, float], speed: dict[str, float]) -> dict[str, float]:
    """What the README states of one corpus."""
    ratios = {f"rebuild / stream ({name})": seconds["stream"] / seconds["rebuild Redis from the documents"]}
    for what, against in (("protocol", "without protocol"), ("statistics and protocol", "fused pass alone")):
        ratios[f"{what}, part of the time ({name})"] = 1 - seconds[against] / seconds["stream"]
    for what, ours in itertools.product(BATCH_JOBS, ("stream", "replay --from files")):
        ratios[f"{ours} / {what} ({name})"] = speed[ours] / speed[what]
    return ratios


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mb", type=int, default=1000)
    parser.add_argument("--copies", type=int, default=60)
    parser.add_argument("--baseline-mb", type=int, default=200)
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    ratios: dict[str, float] = {}
    endpoints = embedded.up(HOME / "servers")
    try:
        bench = Bench(endpoints)
        warm = bench.pipeline("warm")
        ingest(warm, sample_files(20, 2))
        warm.stream()
        for number, (name, paths) in enumerate(corpora(arguments.mb, arguments.copies)):
            part = sample_files(arguments.baseline_mb, CORES) if not number else paths[: max(2, len(paths) // 5)]
            actions = corpus_actions(bench, number, paths, part)
            seconds = best_seconds(bench, warm, number, actions, arguments.repeat)
            mb = {what: raw_bytes(part if what in BATCH_JOBS else paths) / 1e6 for what in seconds}
            speed = {what: mb[what] / s for what, s in seconds.items()}
            for what, s in seconds.items():
                rows.append({"what": what, "corpus": name, "MB": mb[what], "seconds": s, "MB/s": speed[what]})
            ratios |= ratios_of(name, seconds, speed)
        bench.close()
    finally:
        embedded.down(HOME / "servers")
    notes = (
        f"Best of {arguments.repeat}, in turn. Profile p21; the batch jobs read a part of the corpus, and are compared "
        "by MB/s. `without protocol`: words go to Redis, but no positions, ledger or reasons, and nothing is committed."
    )
    report.write("stream", "Streaming and replaying, beside the batch jobs that people use", ratios, rows, notes)


if __name__ == "__main__":
    main()
