"""Compaction beside the stream: a thread plans joins, Spark's tasks write their files, the writer commits them.

The stream stays the only writer: what is written here is part of the table only when `take` has handed it to the writer
and that has committed it, between two micro-batches. Whatever happens before, the table does not change: the files are
left for a vacuum, and a later compaction joins the same files again.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

import pyarrow as pa
from deltalake.exceptions import DeltaError
from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from conf.crash_points import crash_point
from conf.settings import Settings
from sinks.documents.compaction import DocumentFiles, Join, join_files, plan_joins
from sinks.documents.errors import DamagedFileError, DocumentsError
from sinks.documents.files import DocumentFile
from sinks.documents.table import Documents
from sinks.storage.location import Location
from streaming.failures import describe
from streaming.session import task_slots

log = logging.getLogger("wetstream")

# One of so many cores joins files at a time, at least one: micro-batches need the others.
CORES_PER_TASK = 8
POLL_S = 0.1
SCHEMA = pa.schema([("run", pa.int64()), ("file", pa.string()), ("damage", pa.string())])
SPARK_SCHEMA = "run long, file string, damage string"


class BackgroundCompaction:
    """Writes the files of joins while the stream goes on. `start`, `take` and the ends are for the writer.

    Args:
        spark: The session.
        settings: All settings.
    """

    def __init__(self, spark: SparkSession, settings: Settings) -> None:
        self._spark = spark
        self._settings = settings
        self._tag = f"wetstream-compaction-{uuid.uuid4().hex}"
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="compaction")
        self._running: Future[None] | None = None
        self._ending = threading.Event()
        self._changed = threading.Lock()  # guards the two below
        self._joins: list[Join] = []
        self._damage: str | None = None

    def start(self, documents: Documents) -> None:
        """Plan and write the joins of the table as it is now, unless earlier ones are still being written."""
        if self._running is None or self._running.done():
            self._running = self._executor.submit(self._join_all, documents, documents.version)

    def take(self) -> list[Join]:
        """Return the joins that are written and not yet taken.

        Raises:
            DocumentsError: A file of the table is damaged.
        """
        with self._changed:
            if self._damage is not None:
                raise DocumentsError(self._damage)
            taken, self._joins = self._joins, []
            return taken

    def finish(self, stop: threading.Event, *, begin_more: bool) -> None:
        """Wait until what is being written now is done; with `begin_more` all that is planned, unless `stop` is set.

        The tasks are not interrupted: no file appears after this, when a removal may follow.
        """
        if not begin_more:
            self._ending.set()
        while self._running is not None and not wait([self._running], POLL_S).done:
            if stop.is_set():
                self._ending.set()
        self._executor.shutdown(wait=True)

    def abort(self) -> None:
        """Cancel what is being written and drop it."""
        self._ending.set()
        while self._running is not None and not wait([self._running], POLL_S).done:
            try:
                self._spark.sparkContext.cancelJobsWithTag(self._tag)  # again: its job may only just have begun
            except (PySparkException, Py4JError, OSError) as error:
                log.warning("Spark did not cancel its jobs: %s", describe(error))
                break
        self._executor.shutdown(wait=False)

    def _join_all(self, documents: Documents, version: int) -> None:
        """Never fails: compaction that is not done is done later."""
        try:
            target_bytes = self._settings.documents.target_file_mb << 20
            runs = plan_joins(documents.at(version), target_bytes)
            crash_point("after-compaction-plan")
            tasks = max(1, task_slots(self._spark, self._settings) // CORES_PER_TASK)
            self._spark.sparkContext.addJobTag(self._tag)  # of this thread
            for first in range(0, len(runs), tasks):
                if self._ending.is_set():
                    return
                self._join(documents.location, runs[first : first + tasks])
        except (OSError, pa.ArrowException, DeltaError, DocumentsError, PySparkException, Py4JError) as error:
            if not self._ending.is_set():
                log.warning("small files were not joined, which is tried again later: %s", describe(error))

    def _join(self, table: Location, runs: Sequence[DocumentFiles]) -> None:
        """One Spark job with a task for each run."""
        job = _joining_pass(table, runs, self._settings.documents.compression_level)
        numbers = self._spark.range(0, len(runs), 1, len(runs))
        for row in numbers.mapInArrow(job, SPARK_SCHEMA).toArrow().to_pylist():
            with self._changed:
                if row["damage"] is not None:
                    self._damage = row["damage"]
                else:
                    paths = tuple(file["path"] for file in runs[row["run"]])
                    self._joins.append(Join(paths, DocumentFile.from_json(row["file"])))


def _joining_pass(table: Location, runs: Sequence[DocumentFiles], compression_level: int) -> Any:
    """The function for `mapInArrow` over a column of indices into `runs`."""

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for number in batch.column(0).to_pylist():
                file = damage = None
                try:
                    file = join_files(table, runs[number], compression_level=compression_level).file.to_json()
                    crash_point("after-compaction-file")
                except DamagedFileError as error:
                    damage = str(error)
                yield pa.RecordBatch.from_pylist([{"run": number, "file": file, "damage": damage}], schema=SCHEMA)

    return run
