"""The topic's side of taking a source out: nobody adds to it meanwhile, and what stands in the topic has an end.

The marker of a source goes to `removing` before anything is taken out, by the source's own transactional producer: an
ingestion that was under way is fenced, later ones are told. The end of the partition, read after that, lies behind
every record of the source. The marker goes to `removed` at the very end; then the source may be ingested anew, behind
that end.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from conf.crash_points import crash_point
from conf.errors import ExplainedError
from conf.settings import Settings
from producers.fencing import is_fencing
from producers.topic.markers import Marker, ProgressError, ProgressReader, SourceState
from producers.topic.message import partition_of
from producers.topic.topics import Topic
from producers.transaction import source_producer
from producers.wet.members import BEGINNING

# (partition, end offset) of a source that was never in the topic: covers no message.
NOT_IN_TOPIC = (-1, 0)


class RemovalError(ExplainedError):
    """A source cannot be taken out now; the message says why and the remedy."""


def begin_removal(
    settings: Settings, bootstrap_servers: str, topics: tuple[Topic, Topic], sources: Sequence[str]
) -> dict[str, tuple[int, int]]:
    """Stop every ingestion of these sources; returns the partition of each and the offset behind its last record.

    Raises RemovalError when the broker does not let us.
    """
    records, _ = topics
    markers = _mark(settings, bootstrap_servers, topics, sources, SourceState.REMOVING)
    crash_point("after-removal-begun")
    partitions = {marker.partition for marker in markers.values()}
    ends = _ends(bootstrap_servers, records, sorted(partitions))
    return {
        source: (markers[source].partition, ends[markers[source].partition]) if source in markers else NOT_IN_TOPIC
        for source in sources
    }


def finish_removal(
    settings: Settings, bootstrap_servers: str, topics: tuple[Topic, Topic], sources: Sequence[str]
) -> None:
    """Let these sources be ingested anew. Raises RemovalError."""
    crash_point("before-removal-finished")
    _mark(settings, bootstrap_servers, topics, sources, SourceState.REMOVED)


def _mark(
    settings: Settings, bootstrap_servers: str, topics: tuple[Topic, Topic], sources: Sequence[str], state: SourceState
) -> Mapping[str, Marker]:
    """Give the markers of these sources another state; returns them, without sources that have none."""
    progress = topics[1]
    marked: dict[str, Marker] = {}
    try:
        reader = ProgressReader(
            progress,
            bootstrap_servers,
            request_timeout_ms=settings.kafka.request_timeout_ms,
            wait_s=2 * settings.producer.transaction_timeout_ms / 1000,
        )
        try:
            known = set(reader.glance())
            for source in sources:
                if source in known:
                    marked[source] = _mark_one(settings, bootstrap_servers, topics, source, state, reader)
        finally:
            reader.close()
    except (KafkaError, ProgressError) as error:
        if isinstance(error, KafkaError) and is_fencing(error):
            raise RemovalError(
                "a producer is ingesting one of these sources at this moment: stop it first, then remove again"
            ) from error
        raise RemovalError(f"Kafka at {bootstrap_servers} does not let us mark the sources: {error}") from error
    return marked


def _mark_one(
    settings: Settings,
    bootstrap_servers: str,
    topics: tuple[Topic, Topic],
    source: str,
    state: SourceState,
    reader: ProgressReader,
) -> Marker:
    records, progress = topics
    partition = partition_of(source, progress.partitions)
    producer = source_producer(settings, bootstrap_servers, records, source)
    try:
        producer.init_transactions()
        marker = reader.read(partition)[source]
        if state == SourceState.REMOVED and marker.state not in (SourceState.REMOVING, SourceState.REMOVED):
            return marker  # somebody has finished this removal, and the source is being ingested anew
        marker = marker.at(marker.place if state == SourceState.REMOVING else BEGINNING, state=state)
        if state == SourceState.REMOVED:
            marker = replace(marker, records=0, stubs=0, damaged=0, raw_bytes=0, cut=None)
        producer.begin_transaction()
        producer.send(progress.name, key=source.encode(), value=marker.to_json(), partition=partition)
        producer.commit_transaction()
        return marker
    finally:
        with contextlib.suppress(KafkaError):
            producer.close(timeout=0)


def _ends(bootstrap_servers: str, topic: Topic, partitions: Sequence[int]) -> dict[int, int]:
    """End of each partition, open and aborted transactions included."""
    consumer = KafkaConsumer(bootstrap_servers=bootstrap_servers, isolation_level="read_uncommitted")
    try:
        wanted = [TopicPartition(topic.name, partition) for partition in partitions]
        return {partition.partition: end for partition, end in consumer.end_offsets(wanted).items()}
    finally:
        consumer.close()
