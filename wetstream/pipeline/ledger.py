"""The ledger: each source from file to statistics."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from kafka.errors import KafkaError

from conf.settings import Settings
from producers.sources.identity import crawl_and_segment
from producers.topic.markers import COMPLETE, Marker, MarkerReader, SourceState
from producers.topic.offsets import end_offsets
from producers.topic.topics import TopicError, describe_topic
from serving.answers.sources import Source, SourceCounts
from sinks.documents.log import partition_key
from sinks.position import lag_by_partition
from wetstream.pipeline.connections import find_kafka

log = logging.getLogger("wetstream")


def read_markers(settings: Settings) -> dict[str, Marker] | None:
    """Last committed marker of each source; None, with a line that says so, when no broker answers."""
    bootstrap_servers = find_kafka(settings)
    if not bootstrap_servers:
        log.warning("no broker runs: only what is counted is shown, not what waits in the topic")
        return None
    try:
        topic = describe_topic(settings, bootstrap_servers, settings.progress_topic)
        if topic is None:
            return {}
        reader = MarkerReader(
            topic, bootstrap_servers, request_timeout_ms=settings.kafka.request_timeout_ms, wait_s=30.0
        )
        try:
            return reader.read_to_last_stable_offset()
        finally:
            reader.close()
    except (TopicError, KafkaError) as error:
        log.warning("the broker does not answer (%s): only what is counted is shown", error)
        return None


def read_ends(settings: Settings) -> dict[str, int] | None:
    """Where each partition of the records topic ends for a read_committed reader, named as in a position.

    None where there is no broker, or no topic yet.

    Raises:
        TopicError: The broker does not answer.
    """
    bootstrap_servers = find_kafka(settings)
    topic = describe_topic(settings, bootstrap_servers, settings.records_topic) if bootstrap_servers else None
    if topic is None or bootstrap_servers is None:
        return None
    return {partition_key(topic.id, number): end for number, end in end_offsets(bootstrap_servers, topic).items()}


def topic_lag(settings: Settings, position: Mapping[str, int]) -> int | None:
    """How many offsets wait in the topic behind a position, whether a stream runs or not; None without an answer."""
    try:
        ends = read_ends(settings)
    except (TopicError, KafkaError):
        return None
    return None if ends is None else sum(lag_by_partition(ends, position).values())


def reaches(position: Mapping[str, int], end: Mapping[str, int]) -> bool:
    """Whether everything before `end` is counted at `position`; not if the end is unknown."""
    return bool(end) and all(position.get(key, 0) >= offset for key, offset in end.items())


def ledger(
    counted: Sequence[SourceCounts], markers: Mapping[str, Marker] | None, *, complete: bool = False
) -> list[Source]:
    """Join what has been counted of the sources with what was produced of them.

    Args:
        counted: From the statistics.
        markers: The producers' last markers by source; None when no broker was asked.
        complete: Whether all that the markers cover is counted: what is not there is then missing, and not on its way.

    Returns:
        A row for each source that either knows, in order of their names. The state is ingesting, streaming (the topic
        is ahead of the statistics), truncated, damaged, done, or faulty (more records are counted than were produced,
        or fewer though all are read: `wetstream verify` says where, `wetstream repair` mends it).
    """
    by_source = {row["source"]: row for row in counted}
    markers = markers or {}
    return [
        _row(by_source.get(source) or _uncounted(source), markers.get(source), complete)
        for source in sorted(by_source.keys() | markers.keys())
    ]


def _row(counts: SourceCounts, marker: Marker | None, complete: bool) -> Source:
    crawl, segment = crawl_and_segment(counts["source"])
    return {
        **counts,
        "crawl": crawl,
        "segment": segment,
        "state": _state(marker, counts["records"], complete),
        "produced": marker.records if marker else counts["records"],
        "produced_bytes": marker.raw_bytes if marker else None,
        "updated": marker.updated if marker else None,
        "size_bytes": marker.fingerprint.size if marker else None,
        "read_bytes": _read_bytes(marker) if marker else None,
    }


def _uncounted(source: str) -> SourceCounts:
    return {"source": source, "records": 0, "documents": 0, "tokens": 0, "payload_bytes": 0, "rejected": {}}


def _state(marker: Marker | None, processed: int, complete: bool) -> str:
    if marker is None:
        return "done"
    ended = marker.state in (*COMPLETE, SourceState.TRUNCATED)
    if ended and (processed > marker.records or (complete and processed < marker.records)):
        return "faulty"
    if marker.state in COMPLETE and processed < marker.records:
        return "streaming"
    return marker.state


def _read_bytes(marker: Marker) -> int:
    """How much of the file is in the topic; the marker of a source that is done need not be at its last byte."""
    return marker.fingerprint.size if marker.state in COMPLETE else marker.place.member
