"""Progress markers: how far each source has been ingested.

A marker is written in the same transaction as the records that it covers, so the two can never disagree. The progress
topic is compacted; the last marker of a source is the current one.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from conf.errors import ExplainedError
from producers.sources.fingerprint import Fingerprint
from producers.topic.topics import Topic
from producers.wet.members import BEGINNING, Place


class SourceState(StrEnum):
    """State of a source in the progress topic."""

    INGESTING = "ingesting"
    DONE = "done"
    DAMAGED = "damaged"
    """Read to its end, skipping damaged regions."""
    TRUNCATED = "truncated"
    """The file ends inside a record; ingestion continues when the file has grown."""
    REMOVING = "removing"
    """Being removed from the statistics; must not be ingested."""
    REMOVED = "removed"
    """Removed; may be ingested again."""


COMPLETE = frozenset({SourceState.DONE, SourceState.DAMAGED})


class ProgressError(ExplainedError):
    """The progress topic cannot be read to its end; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Marker:
    """Progress of a source: reading resumes at `place`; the counts cover everything committed before it.

    Attributes:
        raw_bytes: Bytes of the message values.
        stubs: How many of `records` are stubs.
        damaged: How many of `stubs` are damaged regions.
        cut: The stub of the cut record at the end (fields of `Stub`), kept so that it can be retracted.
        owner: The run that wrote the marker; a producer that was fenced reads here who took over.
        updated: Unix time in seconds.
    """

    source: str
    uri: str
    state: SourceState
    place: Place
    partition: int
    records: int
    stubs: int
    damaged: int
    raw_bytes: int
    fingerprint: Fingerprint
    cut: dict[str, Any] | None
    owner: str
    updated: float

    @classmethod
    def first(cls, source: str, uri: str, partition: int, fingerprint: Fingerprint) -> Marker:
        """The marker of a source that has no record in the topic yet."""
        return cls(source, uri, SourceState.INGESTING, BEGINNING, partition, 0, 0, 0, 0, fingerprint, None, "", 0.0)

    def to_json(self) -> bytes:
        """The value of the marker's message."""
        fields = {**asdict(self), "fingerprint": self.fingerprint._asdict()}
        return json.dumps({"v": 1, **fields}, separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, value: bytes) -> Marker:
        """Parse a marker's message; unknown fields of a later version are ignored."""
        fields = json.loads(value)
        fields = {name: fields[name] for name in cls.__slots__}
        fields["state"] = SourceState(fields["state"])
        fields["place"] = Place(*fields["place"])
        fields["fingerprint"] = Fingerprint(**fields["fingerprint"])
        return cls(**fields)

    def at(self, place: Place, **changes: Any) -> Marker:
        """This marker moved to `place`, with other fields changed."""
        return replace(self, place=place, updated=time.time(), **changes)


class MarkerReader:
    """Reads the markers incrementally: each call goes on where the last one stopped, up to the topic's current end.

    There are two ends. A read_committed consumer stops at the first open transaction (the last stable offset), a
    read_uncommitted one sees everything (the high watermark). Waiting until the first has caught up with the second
    waits for every open transaction to end, including those of dead producers, which the broker aborts after their
    timeout. Only then is a marker certainly the last of its source.
    """

    def __init__(
        self,
        topic: Topic,
        bootstrap_servers: str,
        *,
        request_timeout_ms: int,
        wait_s: float,
        bootstrap_timeout_ms: int = 30_000,
    ) -> None:
        common = {
            "bootstrap_servers": bootstrap_servers,
            "enable_auto_commit": False,
            "request_timeout_ms": request_timeout_ms,
            "bootstrap_timeout_ms": bootstrap_timeout_ms,
        }
        self._topic = topic
        self._wait_s = wait_s
        self._committed = KafkaConsumer(isolation_level="read_committed", **common)
        self._uncommitted = KafkaConsumer(isolation_level="read_uncommitted", **common)
        self._partitions = [TopicPartition(topic.name, number) for number in range(topic.partitions)]
        self._committed.assign(self._partitions)
        self._committed.seek_to_beginning(*self._partitions)
        self._markers: dict[str, Marker] = {}

    def read_to_high_watermark(self, partition: int | None = None) -> dict[str, Marker]:
        """Last marker of every source, after waiting for the open transactions of `partition` (None: of all).

        Raises:
            ProgressError: A transaction stays open for longer than `wait_s`.
        """
        wanted = self._partitions if partition is None else [self._partitions[partition]]
        return self._read_to(self._uncommitted.end_offsets(wanted))

    def read_to_last_stable_offset(self) -> dict[str, Marker]:
        """Last committed marker of every source, without waiting for open transactions.

        Enough to see that a source is done. Before writing, use `read_to_high_watermark`.
        """
        return self._read_to(self._committed.end_offsets(self._partitions))

    def _read_to(self, ends: Mapping[TopicPartition, int]) -> dict[str, Marker]:
        deadline = time.monotonic() + self._wait_s
        while any(self._committed.position(partition) < end for partition, end in ends.items()):
            for messages in self._committed.poll(timeout_ms=100, max_records=10_000).values():
                for message in messages:
                    self._apply(message.key, message.value)
            if time.monotonic() > deadline:
                raise ProgressError(
                    f"topic {self._topic.name} cannot be read to its end within {self._wait_s:.0f} s: a transaction "
                    "stays open or the broker is stalled; look for a hanging producer, then try again"
                )
        return self._markers

    def _apply(self, key: bytes, value: bytes | None) -> None:
        if value is None:
            self._markers.pop(key.decode(), None)
        else:
            self._markers[key.decode()] = Marker.from_json(value)

    def close(self) -> None:
        """Close both connections."""
        for consumer in (self._committed, self._uncommitted):
            try:
                consumer.close()
            except KafkaError:  # the broker may be gone; nothing is lost
                continue
