"""Records that the topic has lost to retention before they were processed: refused, or accepted and counted."""

from __future__ import annotations

import logging

from conf.addresses import BootstrapServers
from conf.settings import Settings
from producers.topic.offsets import first_offsets
from producers.topic.topics import Topic
from sinks.documents.log import partition_key
from sinks.documents.table import Documents
from streaming.errors import StreamError
from streaming.failures import Outage

log = logging.getLogger("wetstream")


def check_retention(
    settings: Settings, bootstrap_servers: BootstrapServers, topic: Topic, documents: Documents, outage: Outage
) -> None:
    """Make sure that the topic still holds what comes after the position of `documents`.

    With `stream.lost_records = accept`, move the position behind what is lost and count its offsets in the table's log.
    Spark would notice a loss too, but only when it reads, and without a remedy.

    Raises:
        StreamError: Records are lost, and the setting is `refuse`.
    """
    first = outage.retry(lambda: first_offsets(bootstrap_servers, topic))
    position = documents.position()
    lost = {}
    for partition in range(topic.partitions):
        start, end = position.get(partition_key(topic.id, partition), 0), first.get(partition, 0)
        if end <= start:
            continue
        if settings.stream.lost_records == "refuse":
            raise StreamError(
                f"topic {topic.name}, partition {partition}: the offsets from {start:,} to {end:,} are not in the "
                f"topic any more (retention), and generation {documents.location.name} does not have them. Ingest "
                "their sources into a new --pipeline, or continue without them: stream.lost_records=accept. Set the "
                "topic's retention.ms and retention.bytes to -1 to keep what comes"
            )
        lost[partition_key(topic.id, partition)] = (start, end)
        log.warning(
            "topic %s, partition %d: the offsets from %d to %d are lost (retention); continuing without them",
            topic.name,
            partition,
            start,
            end,
        )
    if lost:
        documents.skip_lost(lost)
