"""Sums of a whole documents table, by Spark's tasks: a rebuild of the statistics that uses all executors.

A task counts some files with the code of a rebuild on one machine, and the driver adds up their sums. These are
integers, so neither the cut into tasks nor their order shows in the result.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pyarrow as pa
from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from conf.crash_points import crash_point
from conf.settings import Settings
from sinks.documents.errors import DamagedFileError, DocumentsError
from sinks.documents.files import read_document_batches
from sinks.documents.table import SCAN_ROWS, WORDS, Documents
from sinks.statistics.derive import derive
from sinks.statistics.sums import Sums, sum_words
from sinks.storage.location import Location
from streaming.errors import StreamError
from streaming.failures import describe
from streaming.session import task_slots
from streaming.tasks.partials import SPARK_SCHEMA, MicroBatch, partial_rows, read_partials, unreadable_row

log = logging.getLogger("wetstream")

# Below this, one process is done before tasks have started.
SMALL_BYTES = 64 << 20
# What a task counts: its distinct words, some hundred thousand, stay in its memory.
TASK_BYTES = 64 << 20
# The driver gets the sums of so many tasks at once, which bounds its memory however many files there are.
ACTION_TASKS = 16
# Rows of words that wait to be added up: each addition goes through the whole vocabulary.
PENDING_ROWS = 8_000_000
ATTEMPTS = 3

DocumentFiles = Sequence[Mapping[str, Any]]  # of `Documents.files`


class SparkRecount:
    """Counts documents tables with Spark.

    Args:
        spark: The session.
        settings: All settings.
        small_bytes: A table with less than this is counted in this process.
    """

    def __init__(self, spark: SparkSession, settings: Settings, *, small_bytes: int = SMALL_BYTES) -> None:
        self._spark = spark
        self._settings = settings
        self._small_bytes = small_bytes

    def __call__(self, documents: Documents) -> Sums:
        """Return the sums of all documents.

        Raises:
            DocumentsError: A file is missing, or is not what was written.
            StreamError: Tasks have failed again and again.
        """
        files = documents.files()
        size = sum(file["size_bytes"] for file in files)
        if size < self._small_bytes:
            return derive(documents.scan())
        slots = task_slots(self._spark, self._settings)
        groups = list(plan_groups(files, min(TASK_BYTES, size // slots)))
        actions = [groups[first : first + ACTION_TASKS] for first in range(0, len(groups), ACTION_TASKS)]
        log.info("counting %d files of documents with %d Spark tasks at a time", len(files), slots)
        total, words = Sums(), [Sums().words]
        for batch in self._run(documents.location, actions, slots // ACTION_TASKS + 2):
            total.add_counts(batch.counts)
            words += batch.word_tables
            if sum(table.num_rows for table in words[1:]) > max(PENDING_ROWS, words[0].num_rows):
                words = [sum_words(words)]
            crash_point("during-recount")
        total.words = sum_words(words)
        return total

    def _run(
        self, table: Location, actions: Sequence[Sequence[DocumentFiles]], concurrent: int
    ) -> Iterator[MicroBatch]:
        """Yield the sums of each action in order, while the next ones run."""
        waiting: deque[Future[MicroBatch]] = deque()
        with ThreadPoolExecutor(concurrent) as threads:
            try:
                for groups in actions:
                    waiting.append(threads.submit(self._sum, table, groups))
                    if len(waiting) > concurrent:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for action in waiting:
                    action.cancel()

    def _sum(self, table: Location, groups: Sequence[DocumentFiles]) -> MicroBatch:
        for attempt in range(1, ATTEMPTS + 1):
            numbers = self._spark.range(0, len(groups), 1, len(groups))
            try:
                batch = read_partials(numbers.mapInArrow(_recount_pass(table, groups), SPARK_SCHEMA).toArrow())
            except (PySparkException, Py4JError) as error:
                if attempt == ATTEMPTS:
                    raise StreamError(f"counting the documents failed {ATTEMPTS} times: {describe(error)}") from error
                log.warning("a task failed, counting its files again: %s", describe(error))
                continue
            for why in batch.unreadable.values():
                raise DocumentsError(why)
            return batch
        raise AssertionError  # the last attempt returns or raises


def plan_groups(files: DocumentFiles, size: int) -> Iterator[list[Mapping[str, Any]]]:
    """Yield groups of files of about `size` bytes, in the order of the files; a larger file is a group of its own."""
    group: list[Mapping[str, Any]] = []
    held = 0
    for file in files:
        if group and held + file["size_bytes"] > size:
            yield group
            group, held = [], 0
        group.append({name: file[name] for name in ("path", "size_bytes", "num_records")})
        held += file["size_bytes"]
    if group:
        yield group


def recount(table: Location, files: DocumentFiles, name: str) -> Iterator[pa.RecordBatch]:
    """Yield the partial rows of some files, or of a damaged one a row that says so."""
    try:
        sums = derive(batch for file in files for batch in _batches(table, file))
    except DamagedFileError as error:
        yield unreadable_row(name, str(error))
        return
    words = sums.words
    tf, df = words["tf"].to_numpy(), words["df"].to_numpy()
    yield from partial_rows(words["word"].combine_chunks(), tf, df, sums, [], None, name, packed=True)


def _recount_pass(table: Location, groups: Sequence[DocumentFiles]) -> Any:
    """The function for `mapInArrow` over a column of indices into `groups`."""

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for number in batch.column(0).to_pylist():
                yield from recount(table, groups[number], str(number))

    return run


def _batches(table: Location, file: Mapping[str, Any]) -> Iterator[pa.RecordBatch]:
    size, rows = file["size_bytes"], file["num_records"]
    path = table / file["path"]
    return read_document_batches(path, batch_size=SCAN_ROWS, dictionaries=[WORDS], size=size, rows=rows)
