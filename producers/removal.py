"""The topic's part in removing a source: ingestion stops, and the source's records have an end.

Before anything is removed, the source's own transactional producer sets its marker to `removing`: an ingestion under
way is fenced, later ones are refused. The end of the partition, read after that, is behind every record of the source.
At the very end the marker becomes `removed`; then the source may be ingested again, behind that end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from kafka.errors import KafkaError

from conf.addresses import BootstrapServers
from conf.crash_points import crash_point
from conf.errors import ExplainedError
from conf.settings import Settings
from producers.fencing import is_fencing
from producers.source_producer import open_producer
from producers.topic.markers import Marker, MarkerReader, ProgressError, SourceState
from producers.topic.message import partition_of
from producers.topic.offsets import high_watermarks
from producers.topic.topics import Topics
from producers.wet.members import BEGINNING

# (partition, end offset) of a source that was never in the topic: covers no message.
NOT_IN_TOPIC = (-1, 0)


class RemovalError(ExplainedError):
    """A source cannot be removed now; the message says why and the remedy."""


def mark_removing(
    settings: Settings, bootstrap_servers: BootstrapServers, topics: Topics, sources: Sequence[str]
) -> dict[str, tuple[int, int]]:
    """Stop every ingestion of these sources.

    Returns:
        By source: its partition, and the offset behind its last record.

    Raises:
        RemovalError: The broker refuses, or one of the sources is being ingested.
        TopicError: The broker does not answer.
    """
    markers = _mark(settings, bootstrap_servers, topics, sources, SourceState.REMOVING)
    crash_point("after-removal-begun")
    ends = high_watermarks(bootstrap_servers, topics.records) if markers else {}
    return {
        source: (markers[source].partition, ends[markers[source].partition]) if source in markers else NOT_IN_TOPIC
        for source in sources
    }


def mark_removed(
    settings: Settings, bootstrap_servers: BootstrapServers, topics: Topics, sources: Sequence[str]
) -> None:
    """Allow these sources to be ingested again. Raises RemovalError."""
    crash_point("before-removal-finished")
    _mark(settings, bootstrap_servers, topics, sources, SourceState.REMOVED)


def _mark(
    settings: Settings, bootstrap_servers: BootstrapServers, topics: Topics, sources: Sequence[str], state: SourceState
) -> Mapping[str, Marker]:
    """Set the state of the markers of these sources; returns them, without sources that have none."""
    marked: dict[str, Marker] = {}
    try:
        reader = MarkerReader(
            topics.progress,
            bootstrap_servers,
            request_timeout_ms=settings.kafka.request_timeout_ms,
            wait_s=2 * settings.producer.transaction_timeout_ms / 1000,
        )
        try:
            known = set(reader.read_to_last_stable_offset())
            for source in sources:
                if source in known:
                    marked[source] = _mark_one(settings, bootstrap_servers, topics, source, state, reader)
        finally:
            reader.close()
    except (KafkaError, ProgressError) as error:
        if isinstance(error, KafkaError) and is_fencing(error):
            raise RemovalError(
                "one of these sources is being ingested right now: stop its producer first, then remove again"
            ) from error
        raise RemovalError(f"Kafka at {bootstrap_servers} does not let us mark the sources: {error}") from error
    return marked


def _mark_one(
    settings: Settings,
    bootstrap_servers: BootstrapServers,
    topics: Topics,
    source: str,
    state: SourceState,
    reader: MarkerReader,
) -> Marker:
    partition = partition_of(source, topics.progress.partitions)
    producer = open_producer(settings, bootstrap_servers, topics.records, source)
    try:
        producer.init_transactions()
        marker = reader.read_to_high_watermark(partition)[source]
        if state == SourceState.REMOVED and marker.state not in (SourceState.REMOVING, SourceState.REMOVED):
            return marker  # this removal was finished already, and the source is being ingested again
        marker = marker.at(marker.place if state == SourceState.REMOVING else BEGINNING, state=state)
        if state == SourceState.REMOVED:
            marker = replace(marker, records=0, stubs=0, damaged=0, raw_bytes=0, cut=None)
        producer.begin_transaction()
        producer.send(topics.progress.name, key=source.encode(), value=marker.to_json(), partition=partition)
        producer.commit_transaction()
        return marker
    finally:
        producer.abandon()
