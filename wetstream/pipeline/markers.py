"""The producers' markers, for commands that only look."""

from __future__ import annotations

import logging

from kafka.errors import KafkaError

from conf.settings import Settings
from producers.topic.markers import Marker, MarkerReader
from producers.topic.topics import TopicError, describe_topic
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
