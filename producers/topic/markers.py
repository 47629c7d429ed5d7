"""Progress markers: how far each source has been ingested.

A marker is written in the same transaction as the records that it covers, so the two can never disagree. The progress
topic is compacted; the last marker of a source is the current one.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Annotated, Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError
from pydantic import AfterValidator, Field, TypeAdapter
from pydantic_core import from_json

from conf.addresses import BootstrapServers
from conf.errors import ExplainedError
from conf.settings import Settings
from producers.sources.files import Fingerprint
from producers.topic.message import CONTRACT, partition_of
from producers.topic.topics import Topic, describe_topic
from producers.wet.items import Stub
from producers.wet.members import BEGINNING, Place

log = logging.getLogger("wetstream")

MAX_COUNT = 10**18  # what fits into the digits of a key


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


class ContractError(ExplainedError):
    """The topic was written by another version of the contract; the message says what to do."""


def _bounded(place: Place) -> Place:
    if not (0 <= place.member < MAX_COUNT and 0 <= place.inner < MAX_COUNT):
        raise ValueError("a place beyond every file")
    return place


Count = Annotated[int, Field(ge=0, lt=MAX_COUNT)]
BoundedPlace = Annotated[Place, AfterValidator(_bounded)]


@dataclass(frozen=True, slots=True)
class CutStub:
    """A `Stub` as JSON can hold it: `header` is Latin-1 text."""

    place: BoundedPlace
    length: Count
    reason: str
    detail: str
    header: str

    @classmethod
    def of(cls, stub: Stub) -> CutStub:
        """The stub of a record that the end of the file cuts."""
        return cls(stub.place, stub.length, stub.reason, stub.detail, stub.header.decode("latin-1"))

    def stub(self) -> Stub:
        """The stub again; a cut record has no end, so its own place follows it."""
        return Stub(
            self.place, self.place, self.length, self.reason, self.detail, self.header.encode("latin-1", "replace")
        )


@dataclass(frozen=True, slots=True)
class Marker:
    """Progress of a source: reading resumes at `place`; the counts cover everything committed before it.

    Attributes:
        raw_bytes: Bytes of the message values.
        stubs: How many of `records` are stubs.
        damaged: How many of `stubs` are damaged regions.
        cut: The stub of the cut record at the end, kept so that it can be retracted.
        owner: The run that wrote the marker; a producer that was fenced reads here who took over.
        updated: Unix time in seconds.
    """

    source: str
    uri: str
    state: SourceState
    place: BoundedPlace
    partition: Count
    records: Count
    stubs: Count
    damaged: Count
    raw_bytes: Count
    fingerprint: Fingerprint
    cut: CutStub | None
    owner: str
    updated: float

    @classmethod
    def first(cls, source: str, uri: str, partition: int, fingerprint: Fingerprint) -> Marker:
        """The marker of a source that has no record in the topic yet."""
        return cls(source, uri, SourceState.INGESTING, BEGINNING, partition, 0, 0, 0, 0, fingerprint, None, "", 0.0)

    def to_json(self) -> bytes:
        """The value of the marker's message."""
        fields = {**asdict(self), "fingerprint": self.fingerprint._asdict()}
        # Contract 1 knew the place by another name: a wetstream of that time fails instead of resuming here.
        fields["resume_at"] = fields.pop("place")
        return json.dumps({"contract": CONTRACT, **fields}, separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, value: bytes) -> Marker:
        """Parse the value of a marker's message.

        Raises:
            ValueError: It is not a marker of this contract, whole and within bounds.
        """
        fields = _object(value)
        if fields.pop("contract", None) != CONTRACT:
            raise ValueError("it does not name this contract")
        fields["place"] = fields.pop("resume_at", None)
        return _MARKER.validate_python(fields)

    def at(self, place: Place, **changes: Any) -> Marker:
        """This marker moved to `place`, with other fields changed."""
        return replace(self, place=place, updated=time.time(), **changes)


_MARKER = TypeAdapter(Marker)


def contract_of(value: bytes) -> int | None:
    """The contract that a marker's message was written by; None if it is no marker of any version."""
    try:
        fields = _object(value)
    except ValueError:
        return None
    found = fields.get("contract", fields.get("v"))
    return found if isinstance(found, int) and {"source", "fingerprint"} <= fields.keys() else None


def _object(value: bytes) -> dict[str, Any]:
    fields = from_json(value)
    if not isinstance(fields, dict):
        raise ValueError("it is not a JSON object")
    return fields


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
        bootstrap_servers: BootstrapServers,
        *,
        request_timeout_ms: int,
        wait_s: float,
        bootstrap_timeout_ms: int = 30_000,
    ) -> None:
        common = {
            **bootstrap_servers.client_options(),
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
        self._found_in: dict[str, int] = {}  # by source: the partition of its marker
        self._other_contract: int | None = None

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
                    self._apply(message.key, message.value, message.partition)
            if time.monotonic() > deadline:
                raise ProgressError(
                    f"topic {self._topic.name} cannot be read to its end within {self._wait_s:.0f} s: a transaction "
                    "stays open or the broker is stalled; look for a hanging producer, then try again"
                )
        self._check_contract()
        return self._markers

    def _apply(self, key: bytes | None, value: bytes | None, partition: int) -> None:
        source = (key or b"").decode("utf-8", "replace")
        if value is None:
            if self._found_in.get(source) == partition:
                del self._markers[source], self._found_in[source]
            return
        try:
            marker = Marker.from_json(value)
            if marker.source != source:
                raise ValueError("the marker of another source")
        except ValueError as error:
            contract = contract_of(value)
            if contract is not None and contract != CONTRACT:
                self._other_contract = contract
            else:
                log.warning("topic %s: ignored a message that is no marker (%s)", self._topic.name, error)
            return
        if self._is_last(marker, partition):
            self._markers[source] = marker
            self._found_in[source] = partition

    def _is_last(self, marker: Marker, partition: int) -> bool:
        """Whether a marker replaces the one that was found before.

        Since partitions were added to the topic, a source may have a marker in two of them: the one in its present
        partition is the last one, because producers write nowhere else any more.
        """
        source = marker.source
        before = self._found_in.get(source, partition)
        if before == partition:
            return True
        present = partition_of(source, self._topic.partitions)
        if present in (before, partition):
            return present == partition
        return marker.updated > self._markers[source].updated

    def _check_contract(self) -> None:
        if self._other_contract is None:
            return
        age = "an older" if self._other_contract < CONTRACT else "a newer"
        raise ContractError(
            f"topic {self._topic.name} was written by {age} wetstream (topic contract {self._other_contract}; this one "
            f"reads and writes contract {CONTRACT}): ingest its sources into a new pipeline (--pipeline NAME), or use "
            "the version that wrote it"
        )

    def close(self) -> None:
        """Close both connections."""
        for consumer in (self._committed, self._uncommitted):
            try:
                consumer.close()
            except KafkaError:  # the broker may be gone; nothing is lost
                continue


def check_contract(settings: Settings, bootstrap_servers: BootstrapServers) -> None:
    """Refuse topics that this version would misread.

    Raises:
        ContractError: A producer of another contract has written to the pipeline's topics.
        TopicError, KafkaError, ProgressError: The broker does not answer.
    """
    progress = describe_topic(settings, bootstrap_servers, settings.progress_topic)
    if progress is None:
        return
    reader = MarkerReader(
        progress, bootstrap_servers, request_timeout_ms=settings.kafka.request_timeout_ms, wait_s=60.0
    )
    try:
        reader.read_to_last_stable_offset()
    finally:
        reader.close()
