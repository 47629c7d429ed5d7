"""Reports how many files a Spark job has read, while it runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pyspark.sql import SparkSession

from conf.errors import counted

EVERY_S = 10.0


@contextmanager
def report_progress(
    spark: SparkSession, files: int, note: Callable[[str], None], *, every_s: float = EVERY_S
) -> Iterator[None]:
    """While the block runs, call `note` every `every_s` seconds with how many tasks of its stage are done."""
    ended = threading.Event()
    tracker = spark.sparkContext.statusTracker()

    def watch() -> None:
        while not ended.wait(every_s):
            stages = [tracker.getStageInfo(stage) for stage in tracker.getActiveStageIds()]
            done = [stage.numCompletedTasks for stage in stages if stage is not None and stage.numTasks == files]
            if done:
                note(f"{done[0]:,} of {counted(files, 'file')} read")

    watcher = threading.Thread(target=watch, name="wetstream-p21-progress", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
