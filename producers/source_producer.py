"""The transactional producer of one source: records and the progress marker behind them commit together."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from conf import reasons
from conf.addresses import BootstrapServers
from conf.crash_points import crash_point
from conf.settings import Settings
from producers.topic.markers import Marker
from producers.topic.message import message_key, message_value, partition_of, retraction_key, stub_value
from producers.topic.topics import MAX_MESSAGE_BYTES, Topic, Topics
from producers.topic.transactional import TransactionalProducer
from producers.wet.items import Record, Stub


def open_producer(
    settings: Settings,
    bootstrap_servers: BootstrapServers,
    records: Topic,
    source: str,
    bootstrap_timeout_ms: int = 30_000,
) -> TransactionalProducer:
    """Connect the Kafka producer of a source.

    Its transactional id names the topic and the source, so any two producers of one source fence each other.
    """
    limit = settings.producer
    return TransactionalProducer(
        **bootstrap_servers.client_options(),
        transactional_id=f"{records.name}/{source}",
        transaction_timeout_ms=limit.transaction_timeout_ms,
        compression_type=None if limit.compression == "none" else limit.compression,
        acks="all",
        linger_ms=50,
        batch_size=1 << 20,
        max_request_size=MAX_MESSAGE_BYTES,
        request_timeout_ms=settings.kafka.request_timeout_ms,
        max_block_ms=int(limit.retry_s * 1000),
        bootstrap_timeout_ms=bootstrap_timeout_ms,
    )


class SourceProducer:
    """Sends the records of one source in consecutive transactions.

    `commit` returns only when the broker has everything, so no more than one transaction is ever in flight, however
    slow the broker is. `marker` is the last one that was committed.
    """

    def __init__(self, producer: TransactionalProducer, topics: Topics, marker: Marker) -> None:
        self._producer = producer
        self._topics = topics
        self.marker = marker
        self._begin()

    def _begin(self) -> None:
        # Opens nothing at the broker yet: the first message does.
        self._producer.begin_transaction()
        self.began = time.time()
        self.bytes = self.count = self._stubs = self.damaged = 0
        self._place = self.marker.place

    def add(self, item: Record | Stub) -> None:
        """Send a record or a stub."""
        value = message_value(item)
        if not self.count:
            self.began = time.time()
        self._send(message_key(self.marker.source, item), value)
        self.bytes += len(value)
        self.count += 1
        self._place = item.next
        if isinstance(item, Stub):
            self._stubs += 1
            self.damaged += item.reason == reasons.DAMAGED

    def is_full(self, limit_bytes: int, limit_ms: int) -> bool:
        """Whether the open transaction has reached one of its limits."""
        return self.bytes >= limit_bytes or (time.time() - self.began) * 1000 >= limit_ms

    def claim(self) -> None:
        """Commit the marker alone, so that a producer that this one has fenced can see who took over.

        If the source had been cut inside a record, this also retracts that record's stub: the source has grown.
        """
        if self.marker.cut is not None:
            stub = self.marker.cut.stub()
            self._send(retraction_key(self.marker.source, stub), stub_value(stub))
            self.marker = replace(
                self.marker,
                cut=None,
                records=self.marker.records - 1,
                stubs=self.marker.stubs - 1,
                raw_bytes=self.marker.raw_bytes - len(stub_value(stub)),
            )
        self.commit()

    def commit(self, **changes: Any) -> tuple[int, int]:
        """Commit the open transaction with its marker, and begin the next.

        Args:
            **changes: Fields of the marker to change.

        Returns:
            Records and value bytes of the committed transaction.
        """
        marker = self.marker.at(
            self._place,
            records=self.marker.records + self.count,
            stubs=self.marker.stubs + self._stubs,
            damaged=self.marker.damaged + self.damaged,
            raw_bytes=self.marker.raw_bytes + self.bytes,
            **changes,
        )
        crash_point("producer-in-transaction")
        self._producer.send(
            self._topics.progress.name,
            key=marker.source.encode(),
            value=marker.to_json(),
            partition=partition_of(marker.source, self._topics.progress.partitions),
        )
        self._producer.commit_transaction()
        crash_point("producer-between-transactions")
        committed = self.count, self.bytes
        self.marker = marker
        self._begin()
        return committed

    def _send(self, key: bytes, value: bytes) -> None:
        self._producer.send(self._topics.records.name, key=key, value=value, partition=self.marker.partition)
