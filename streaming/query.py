"""The Structured Streaming query: topic -> fused pass -> sums, handed to a commit function a micro-batch at a time."""

from __future__ import annotations

import json
import shutil
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyspark import Broadcast
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812
from pyspark.sql.streaming.query import StreamingQuery

from conf.addresses import BootstrapServers
from conf.settings import Settings
from producers.topic.topics import Topic
from streaming.fused import TaskConfig, fused_pass
from streaming.partials import SPARK_SCHEMA
from streaming.session import shuffle_partitions

DIRECT_TASKS = 16


def read_topic(
    spark: SparkSession, settings: Settings, bootstrap_servers: BootstrapServers, topic: Topic
) -> Callable[..., DataFrame]:
    """The topic as a stream from given offsets on: columns key, value, partition, offset; committed records only."""

    def frame(starting: Mapping[int, int]) -> DataFrame:
        return (
            spark.readStream.format("kafka")
            .options(**bootstrap_servers.spark_options())
            .option("kafka.isolation.level", "read_committed")
            # A record of 16 MiB has to fit into one fetch of a partition.
            .option("kafka.max.partition.fetch.bytes", str(32 << 20))
            .option("kafka.fetch.max.bytes", str(64 << 20))
            .option("subscribe", topic.name)
            .option("startingOffsets", json.dumps({topic.name: {str(p): at for p, at in starting.items()}}))
            .option("maxOffsetsPerTrigger", str(settings.stream.max_records))
            .option("minPartitions", str(shuffle_partitions(settings)))
            .option("failOnDataLoss", "true")
            .load()
            .select("key", "value", "partition", "offset")
        )

    return frame


def collects_directly(tasks: int) -> bool:
    """Whether the partial rows of so many tasks go to the driver as they are; of more, Spark adds them up first.

    The driver adds up with Arrow, many times as fast as Spark's shuffle; but what it gets must not grow with the
    cluster.
    """
    return tasks <= DIRECT_TASKS


def sum_messages(records: DataFrame, job: Broadcast[TaskConfig]) -> DataFrame:
    """The partial rows of all tasks, for the driver to add up."""
    return combine_partials(records.mapInArrow(fused_pass(job), SPARK_SCHEMA), job.value)


def combine_partials(partials: DataFrame, job: TaskConfig) -> DataFrame:
    """Partial rows as the driver gets them."""
    if job.direct:
        return partials
    return partials.groupBy("kind", "key").agg(
        F.sum("a").alias("a"), F.sum("b").alias("b"), F.sum("c").alias("c"), F.max("text").alias("text")
    )


@dataclass(frozen=True, slots=True)
class BatchProgress:
    """One micro-batch as Spark reports it. Offsets are by partition; `seconds` by phase as Spark names them."""

    batch_id: int
    rows: int
    rows_per_s: float
    end: dict[int, int]
    latest: dict[int, int]
    seconds: dict[str, float]

    @property
    def lag(self) -> int:
        """Offsets in the topic behind this micro-batch (records, and a marker for each transaction)."""
        return sum(self.lag_by_partition.values())

    @property
    def lag_by_partition(self) -> dict[int, int]:
        """The same of each partition."""
        return {partition: max(0, latest - self.end.get(partition, 0)) for partition, latest in self.latest.items()}


def read_progress(event: Mapping[str, Any], topic: Topic) -> BatchProgress:
    """A progress event of the query."""
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
    """A running query with a checkpoint directory of its own, which is thrown away afterwards.

    Spark wants one, but nothing is ever read from it: where to go on stands in the documents table.
    """

    def __init__(
        self,
        records: DataFrame,
        job: TaskConfig,
        settings: Settings,
        checkpoints: Path,
        on_batch: Callable[[pa.Table, int], None],
        *,
        once: bool,
    ) -> None:
        self._job = records.sparkSession.sparkContext.broadcast(job)
        self._checkpoint = checkpoints / uuid.uuid4().hex
        self._working = threading.Lock()
        self._ending = False
        self._error: Exception | None = None

        def process(frame: DataFrame, batch_id: int) -> None:
            with self._working:
                if self._ending:
                    return
                try:
                    on_batch(sum_messages(frame, self._job).toArrow(), batch_id)
                except Exception as error:
                    # What Spark makes of it is a text in a text; whoever starts again needs the error itself.
                    self._error = error
                    raise

        writer = records.writeStream.foreachBatch(process).option("checkpointLocation", self._checkpoint.as_uri())
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
        """The error that ended the query: the micro-batch's, else Spark's own; None if there was none."""
        return self._error or self._query.exception()

    def stop(self) -> None:
        """End the query after the micro-batch that it is at, and drop its checkpoint."""
        self._ending = True
        with self._working:
            pass  # the current micro-batch is through; later ones return at once
        self._query.stop()
        self._job.unpersist()
        shutil.rmtree(self._checkpoint, ignore_errors=True)


def drop_old_checkpoints(checkpoints: Path) -> None:
    """Remove what killed runs left behind; called by the one writer that keeps its checkpoints there."""
    shutil.rmtree(checkpoints, ignore_errors=True)
