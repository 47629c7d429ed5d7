"""The Structured Streaming query: topic -> fused pass -> partial rows, handed to a function for each micro-batch."""

from __future__ import annotations

import json
import logging
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from py4j.protocol import Py4JError
from pyspark import Broadcast
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812
from pyspark.sql.streaming.query import StreamingQuery

from conf.addresses import BootstrapServers
from conf.settings import ProducerSettings, Settings
from producers.sources.source import Source
from producers.topic.topics import Topic
from streaming.admission import Admission
from streaming.failures import describe
from streaming.session import task_slots
from streaming.tasks.files import files_pass
from streaming.tasks.fused import TaskConfig, fused_pass
from streaming.tasks.partials import SPARK_SCHEMA

log = logging.getLogger("wetstream")

DIRECT_TASKS = 16
ABORT_WAIT_S = 3.0
# What a call into Spark raises, also when its Java process has ended.
SPARK_ERRORS = (PySparkException, Py4JError, OSError)
OnBatch = Callable[[pa.Table, int, Mapping[int, int]], None]


def read_topic(
    spark: SparkSession,
    settings: Settings,
    bootstrap_servers: BootstrapServers,
    topic: Topic,
    starting: Mapping[int, int],
    max_offsets: int,
) -> DataFrame:
    """Return the committed records of a topic as a stream.

    Args:
        spark: The session.
        settings: Limits of a micro-batch.
        bootstrap_servers: The brokers.
        topic: The topic.
        starting: The first offset of each partition.
        max_offsets: Offsets of the first micro-batch at most.

    Returns:
        Columns key, value (binary), partition (int) and offset (long).
    """
    # A query that is ended waits for the calls that its Kafka client has open: not for longer than the stream would.
    timeout_ms = round(min(60, max(10, settings.stream.retry_s / 2)) * 1000)
    return (
        spark.readStream.format("kafka")
        .options(**bootstrap_servers.spark_options())
        .option("kafka.default.api.timeout.ms", str(timeout_ms))
        .option("kafka.request.timeout.ms", str(min(timeout_ms, 30_000)))
        .option("kafka.isolation.level", "read_committed")
        # A record of 16 MiB has to fit into one fetch of a partition.
        .option("kafka.max.partition.fetch.bytes", str(32 << 20))
        .option("kafka.fetch.max.bytes", str(64 << 20))
        .option("subscribe", topic.name)
        .option("startingOffsets", json.dumps({topic.name: {str(p): at for p, at in starting.items()}}))
        .option("maxOffsetsPerTrigger", str(max_offsets))
        .option("minPartitions", str(task_slots(spark, settings)))
        .option("failOnDataLoss", "true")
        .load()
        .select("key", "value", "partition", "offset")
    )


def collects_directly(tasks: int) -> bool:
    """Whether the driver gets the partial rows of so many tasks as they are; of more, Spark adds them up first.

    Arrow adds up many times as fast as Spark's shuffle, but the driver's input must not grow with the cluster.
    """
    return tasks <= DIRECT_TASKS


def _combine(partials: DataFrame, config: TaskConfig) -> DataFrame:
    """The partial rows that reach the driver."""
    if config.direct:
        return partials
    return partials.groupBy("kind", "key").agg(
        F.sum("a").alias("a"), F.sum("b").alias("b"), F.sum("c").alias("c"), F.max("text").alias("text")
    )


def sum_messages(records: DataFrame, config: Broadcast[TaskConfig]) -> DataFrame:
    """The partial rows of all tasks over a batch of messages."""
    return _combine(records.mapInArrow(fused_pass(config), SPARK_SCHEMA), config.value)


def sum_files(
    spark: SparkSession, groups: Sequence[Sequence[Source]], config: TaskConfig, settings: ProducerSettings
) -> DataFrame:
    """The partial rows of all sources, with one task per group."""
    numbers = spark.range(0, len(groups), 1, len(groups))
    return _combine(numbers.mapInArrow(files_pass(groups, config, settings), SPARK_SCHEMA), config)


@dataclass(frozen=True, slots=True)
class BatchProgress:
    """One micro-batch as Spark reports it. Offsets are by partition, `seconds` by phase as Spark names them."""

    batch_id: int
    rows: int
    rows_per_s: float
    end: dict[int, int]
    latest: dict[int, int]
    seconds: dict[str, float]

    @property
    def lag(self) -> int:
        """Offsets in the topic after this micro-batch (records, and a marker for each transaction)."""
        return sum(max(0, latest - self.end.get(partition, 0)) for partition, latest in self.latest.items())


def read_progress(event: Mapping[str, Any], topic: Topic) -> BatchProgress:
    """Parse a progress event of the query."""
    (source,) = event["sources"]
    return BatchProgress(
        batch_id=event["batchId"],
        rows=event["numInputRows"],
        rows_per_s=event.get("processedRowsPerSecond") or 0.0,
        end=_offsets(source.get("endOffset"), topic),
        latest=_offsets(source.get("latestOffset"), topic),
        seconds={phase: ms / 1000 for phase, ms in event.get("durationMs", {}).items()},
    )


def _offsets(value: Any, topic: Topic) -> dict[int, int]:
    parsed = json.loads(value) if isinstance(value, str) else value
    return {int(partition): offset for partition, offset in ((parsed or {}).get(topic.name) or {}).items()}


class Query:
    """A running query with a checkpoint directory of its own, which is deleted afterwards.

    Spark requires a checkpoint, but restarts never read it: the positions are in the documents table. `on_batch` gets
    the partial rows of each micro-batch, its number, and where its offsets end, by partition. `admission` says how many
    offsets the next one takes, `starting` where the first one begins.
    """

    def __init__(
        self,
        records: DataFrame,
        config: TaskConfig,
        settings: Settings,
        topic: Topic,
        checkpoints: Path,
        on_batch: OnBatch,
        admission: Admission,
        starting: Mapping[int, int],
        *,
        once: bool,
    ) -> None:
        self._spark = records.sparkSession
        self._config = self._spark.sparkContext.broadcast(config)
        self._topic = topic
        self._checkpoint = checkpoints / uuid.uuid4().hex
        self._on_batch = on_batch
        self._admission = admission
        self._limited_to = admission.offsets
        self._done = sum(starting.values())
        self._working = threading.Lock()
        self._ending = False
        self._error: Exception | None = None
        writer = records.writeStream.foreachBatch(self._process).option("checkpointLocation", self._checkpoint.as_uri())
        if once:
            writer = writer.trigger(availableNow=True)
        else:
            writer = writer.trigger(processingTime=f"{settings.stream.trigger_ms} milliseconds")
        self._query: StreamingQuery = writer.start()

    @property
    def active(self) -> bool:
        """Whether the query still runs."""
        return bool(self._query.isActive)

    def events(self) -> list[Mapping[str, Any]]:
        """The last progress events, oldest first."""
        events = self._query.recentProgress
        return [event if isinstance(event, Mapping) else json.loads(event.json) for event in events]

    def failure(self) -> Exception | None:
        """The error that ended the query: that of `on_batch`, else Spark's own; None if there was none."""
        try:
            return self._error or self._query.exception()
        except SPARK_ERRORS as error:
            return error

    def stop(self) -> None:
        """End the query after the current micro-batch, and delete its checkpoint."""
        self._ending = True
        with self._working:
            pass  # the current micro-batch is done; later ones return at once
        self._stop_spark()

    def abort(self) -> None:
        """End the query now; the current micro-batch fails unless it is being committed."""
        self._ending = True
        try:
            self._spark.sparkContext.cancelJobGroup(str(self._query.runId))
        except SPARK_ERRORS as error:
            log.warning("Spark did not cancel its jobs: %s", describe(error))
        # Spark's Kafka client waits for a broker that hangs until its own timeouts; nothing depends on it any more.
        stopping = threading.Thread(target=self._stop_spark, name="wetstream-stop-query", daemon=True)
        stopping.start()
        stopping.join(ABORT_WAIT_S)

    def _process(self, frame: DataFrame, number: int) -> None:
        with self._working:
            if self._ending:
                return
            try:
                began, ends = time.monotonic(), self._ends(number)
                self._on_batch(sum_messages(frame, self._config).toArrow(), number, ends)
                offsets, self._done = sum(ends.values()) - self._done, sum(ends.values())
                self._limit(self._admission.completed(offsets, time.monotonic() - began))
            except Exception as error:
                # Spark only keeps its text; whoever restarts needs the error itself.
                self._error = error
                raise

    def _limit(self, max_offsets: int) -> None:
        """Let the micro-batches after this one have so many offsets at most.

        Spark's API fixes the limit when a query starts, and a new query would cost half a second each time. Its engine
        asks the sources for offsets within these limits before every micro-batch.
        """
        if max_offsets == self._limited_to:
            return
        self._limited_to = max_offsets
        try:
            execution = self._query._jsq.streamingQuery()
            jvm: Any = self._spark._jvm
            rows = jvm.org.apache.spark.sql.connector.read.streaming.ReadLimit.maxRows(max_offsets)
            limits = execution.uniqueSources()
            sources = limits.keysIterator()
            while sources.hasNext():
                limits = limits.updated(sources.next(), rows)
            getattr(execution, "uniqueSources_$eq")(limits)
        except (Py4JError, TypeError) as error:  # another version of Spark; the micro-batch is committed already
            log.warning("the size of micro-batches stays as it is: this Spark does not let it change (%s)", error)

    def _ends(self, number: int) -> dict[int, int]:
        """Where the offsets of a micro-batch end, from the log that Spark writes before it runs it."""
        log_of_offsets = self._checkpoint / "offsets" / str(number)
        _version, _metadata, offsets = log_of_offsets.read_text(encoding="utf-8").splitlines()
        return _offsets(offsets, self._topic)

    def _stop_spark(self) -> None:
        try:
            self._query.stop()
            self._config.unpersist()
        except SPARK_ERRORS as error:
            log.warning("Spark did not end its query in order: %s", describe(error))
        shutil.rmtree(self._checkpoint, ignore_errors=True)


def drop_old_checkpoints(checkpoints: Path) -> None:
    """Delete what killed runs left behind. Only for the writer that keeps its checkpoints there."""
    shutil.rmtree(checkpoints, ignore_errors=True)
