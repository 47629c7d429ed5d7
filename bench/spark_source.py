"""`format("wet")` beside the reading of `replay --from files`: the same files, Spark session and rules.

    python -m bench.spark_source [--copies 20] [--rounds 5]

Both ways are run in turn in one process, and the median of the ratios of a pair counts. `read` stops at the parsed
records: a replay's tasks keep them where they are, the data source hands every column, text included, to Spark. `judge`
goes on to bags of words: a replay's tasks write them to Parquet files, the data source hands them to Spark.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
from pyspark.sql import SparkSession

from bench import report
from bench.corpus import HOME, page_copies, raw_bytes, sample_files
from conf.profiles import load_profile
from conf.settings import ProducerSettings, load_settings
from producers.sources.discover import discover
from producers.sources.source import Source
from sinks.storage.folder import Folder
from streaming.session import start_session
from streaming.tasks.files import files_pass
from streaming.tasks.fused import TaskConfig
from streaming.tasks.message_batches import source_messages
from streaming.tasks.messages import read_messages
from streaming.tasks.partials import SPARK_SCHEMA
from wetstream import WetDataSource
from wetstream.servers.java.runtime import find_java
from wetstream.servers.java.spark_runtime import quiet_java

PROFILE = "english"
WITHOUT_TEXT = "source string, url string, host string, date timestamp, reason string, payload_bytes long"
Way = Callable[[], Any]


def read_only(groups: list[list[Source]], settings: ProducerSettings) -> Callable[..., Iterator[pa.RecordBatch]]:
    """The reading of a replay's tasks: records parsed, and only counted."""

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for number in batch.column(0).to_pylist():
                for source in groups[number]:
                    rows = sum(len(read_messages(*found).url) for found in source_messages(source, settings))
                    yield pa.RecordBatch.from_pydict({"rows": pa.array([rows], pa.int64())})

    return run


def ways(spark: SparkSession, paths: list[Path], table: Path) -> dict[str, tuple[Way, Way]]:
    """For each comparison: the replay's way and the data source's."""
    settings = load_settings(environ={}).producer
    groups = [[source] for source in discover([str(path) for path in paths])]
    config = TaskConfig(load_profile(PROFILE), Folder(table), 1)
    numbers = spark.range(0, len(groups), 1, len(groups))

    def replay(function: Any, schema: str) -> Way:
        return lambda: numbers.mapInArrow(function, schema).collect()

    def source(schema: str = "", **options: str) -> Way:
        reader = (spark.read.schema(schema) if schema else spark.read).format("wet").options(**options)
        return lambda: reader.load([str(path) for path in paths]).write.format("noop").mode("append").save()

    return {
        "read": (replay(read_only(groups, settings), "rows long"), source()),
        "read without the text": (replay(read_only(groups, settings), "rows long"), source(WITHOUT_TEXT)),
        "judge": (replay(files_pass(groups, config, settings), SPARK_SCHEMA), source(profile=PROFILE)),
    }


def timed(way: Way) -> tuple[float, float]:
    """Seconds, and seconds of processor time of this process and all below it."""
    before, began = _cpu(), time.perf_counter()
    way()
    return time.perf_counter() - began, _cpu() - before


def _cpu() -> float:
    me = psutil.Process()
    total = 0.0
    for process in (me, *me.children(recursive=True)):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--copies", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    paths = page_copies(arguments.copies) or sample_files(arguments.copies * 17, 2)
    settings = load_settings(flags={"home": str(HOME / "home"), "stream.driver_memory": "1g"}, environ={})
    java = find_java(settings.home)
    spark = start_session(settings, java_home=quiet_java(java.executable, settings.home), jars=[])
    spark.dataSource.register(WetDataSource)
    megabytes = raw_bytes(paths) / 1e6
    rows, ratios = [], {}
    with tempfile.TemporaryDirectory() as table:
        for name, pair in ways(spark, paths, Path(table)).items():
            for way in pair:
                way()
            found = [[timed(way) for way in pair] for _ in range(arguments.rounds)]
            ratios[f"{name}: speed of the data source / of the replay"] = statistics.median(
                a[0] / b[0] for a, b in found
            )
            ratios[f"{name}: the same, by processor time"] = statistics.median(a[1] / b[1] for a, b in found)
            for number, way_name in enumerate(("replay --from files", 'format("wet")')):
                seconds = statistics.median(times[number][0] for times in found)
                cpu = statistics.median(times[number][1] for times in found)
                rows.append({"what": name, "way": way_name, "s": seconds, "cpu s": cpu, "MB/s": megabytes / seconds})
    notes = f"{len(paths)} files, {megabytes:,.0f} MB raw; medians of {arguments.rounds} pairs."
    report.write("spark_source", 'format("wet") beside replay --from files', ratios, rows, notes)
    spark.stop()


if __name__ == "__main__":
    main()
