"""One source into the topic, each record exactly once, whatever is killed and whenever.

Why that holds: records and the progress marker behind them are one Kafka transaction, so both are seen or neither is.
A run, and every new try after an error, begins with `init_transactions`: that aborts what a predecessor left open and
fences a predecessor that still lives. Only then is the marker read, and reading goes on at its place. Nothing is
resumed from memory.
"""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from kafka import KafkaProducer
from kafka.errors import (
    InvalidProducerEpochError,
    KafkaError,
    ProducerFencedError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailedError,
)

from conf.crash_points import crash_point
from conf.settings import Settings
from producers.members import BEGINNING, Place
from producers.message import message_key, message_value, partition_of, stub_value
from producers.plan import Plan, plan_source
from producers.progress import DAMAGED, DONE, INGESTING, TRUNCATED, Marker, ProgressError, ProgressReader
from producers.records import NotWetError, Record, Stub, check_wet, read_records
from producers.source import Source, fingerprint
from producers.topics import MAX_MESSAGE_BYTES, Topic

FATAL = (TopicAuthorizationFailedError, TransactionalIdAuthorizationFailedError)
FENCED = (ProducerFencedError, InvalidProducerEpochError)
FINISHED = {"done", "already", "copy", "damaged"}
STUB_HEADER_BYTES = 1 << 14


@dataclass(frozen=True, slots=True)
class Advance:
    """Progress of one source, reported after each transaction; counts are since the beginning of this run."""

    source: str
    file_bytes: int
    size: int
    records: int
    raw_bytes: int


@dataclass(slots=True)
class Outcome:
    """How one source ended: its state, counts of this run, what was damaged, and a sentence for people."""

    source: str
    state: str
    message: str = ""
    records: int = 0
    raw_bytes: int = 0
    seconds: float = 0.0
    damage: list[str] = field(default_factory=list)

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do for this source."""
        return self.state in FINISHED


class Ingester:
    """Ingests sources one after the other. Make one a process: its connections to the progress topic are kept."""

    def __init__(
        self,
        settings: Settings,
        bootstrap_servers: str,
        topics: tuple[Topic, Topic],
        *,
        allow_copies: bool = False,
        on_advance: Callable[[Advance], None] = lambda advance: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self._settings = settings
        self._bootstrap_servers = bootstrap_servers
        self._records_topic, self._progress_topic = topics
        self._allow_copies = allow_copies
        self._on_advance = on_advance
        self._should_stop = should_stop
        self._progress: ProgressReader | None = None
        self._seen_owner = ""
        self._owner = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:12]}"

    def ingest(self, source: Source) -> Outcome:
        """Ingest a source to its end. Trouble with the source is in the outcome; nothing is raised for it."""
        began = time.monotonic()
        outcome = Outcome(source.id, "failed")
        last_progress, wait_s = time.monotonic(), 0.2
        while True:
            sent = outcome.records
            try:
                self._attempt(source, outcome)
                break
            except NotWetError as error:
                outcome.state, outcome.message = "not_wet", str(error)
                break
            except OSError as error:
                outcome.message = f"{source.path} cannot be read: {error.strerror or error}"
                break
            except FENCED as error:
                if self._taken_over(source, outcome):
                    break
                reason: Exception = error
            except FATAL as error:
                outcome.message = f"Kafka refuses to take {source.id}: {error}"
                break
            except (KafkaError, ProgressError) as error:
                reason = error
            self._drop_progress()
            if outcome.records > sent:
                last_progress, wait_s = time.monotonic(), 0.2
            if time.monotonic() - last_progress > self._settings.producer.retry_s:
                outcome.message = (
                    f"{source.id}: Kafka at {self._bootstrap_servers} did not take its records for "
                    f"{self._settings.producer.retry_s:.0f} s ({type(reason).__name__}: {reason}); run the same "
                    "command again when it is back: it goes on where it stopped"
                )
                break
            time.sleep(wait_s)
            wait_s = min(wait_s * 2, 5.0)
        outcome.seconds = time.monotonic() - began
        return outcome

    def close(self) -> None:
        """End the connections."""
        self._drop_progress()

    def _attempt(self, source: Source, outcome: Outcome) -> None:
        with source.path.open("rb") as file:
            check_wet(source.path, file)
            found = fingerprint(file)
            # Most sources of a repeated run are done, which an older marker tells as well: no producer for those.
            plan = plan_source(source, file, found, self._reader().glance(), allow_copies=self._allow_copies)
            if self._is_over(plan, outcome):
                return
            producer = self._producer(source)
            try:
                producer.init_transactions()
                partition = partition_of(source.id, self._progress_topic.partitions)
                markers = self._reader().read(partition if self._allow_copies else None)
                plan = plan_source(source, file, found, markers, allow_copies=self._allow_copies)
                if self._is_over(plan, outcome):
                    return
                self._seen_owner = markers[source.id].owner if source.id in markers else ""
                marker = markers.get(source.id) or Marker(
                    source=source.id,
                    uri=source.path.resolve().as_uri(),
                    state=INGESTING,
                    place=BEGINNING,
                    partition=partition_of(source.id, self._records_topic.partitions),
                    records=0,
                    stubs=0,
                    damaged=0,
                    raw_bytes=0,
                    fingerprint=found,
                    cut=None,
                    owner="",
                    updated=0.0,
                )
                marker = marker.at(marker.place, fingerprint=found, owner=self._owner, state=INGESTING)
                self._send(producer, source, marker, outcome)
            finally:
                # Never waits for what is still queued: the next try aborts it and reads the truth from the topic.
                producer.close(timeout=0)

    def _send(self, producer: KafkaProducer, source: Source, marker: Marker, outcome: Outcome) -> None:
        transaction = _Transaction(producer, self._records_topic, self._progress_topic, marker)
        # The first marker claims the source: who is fenced by this run finds its owner there.
        transaction.begin()
        if marker.cut is not None:
            transaction.retract()
        limit = self._settings.producer
        items = read_records(source.path, start=marker.place, max_record_bytes=limit.max_record_bytes)
        cut: Stub | None = None
        for item in items:
            if isinstance(item, Stub):
                item = replace(item, header=item.header[:STUB_HEADER_BYTES])
                outcome.damage.append(_damage(source, item))
                cut = item if item.reason == TRUNCATED else None
            transaction.add(item)
            if transaction.is_full(limit.transaction_bytes, limit.transaction_ms):
                self._commit(transaction, outcome)
                if self._should_stop():
                    outcome.state, outcome.message = "stopped", f"{source.id}: stopped; the next run goes on here"
                    return
                transaction.begin()
        state = TRUNCATED if cut is not None else DAMAGED if transaction.marker.damaged else DONE
        transaction.marker = transaction.marker.at(
            transaction.marker.place, state=state, cut=None if cut is None else _cut_fields(cut)
        )
        self._commit(transaction, outcome)
        outcome.state = state
        if cut is not None:
            outcome.message = (
                f"{source.path} is cut: {cut.detail} (byte offset {cut.place.member:,}). Its "
                f"{transaction.marker.records - 1:,} whole records are ingested; fetch the rest of the file and ingest "
                "it again: it is carried on from there"
            )
        elif state == DAMAGED:
            outcome.message = (
                f"{source.path} is damaged in {transaction.marker.damaged} places; all whole records are ingested"
            )

    def _commit(self, transaction: _Transaction, outcome: Outcome) -> None:
        records, raw_bytes = transaction.commit()
        outcome.records += records
        outcome.raw_bytes += raw_bytes
        marker = transaction.marker
        done = marker.fingerprint.size if marker.state != INGESTING else marker.place.member
        self._on_advance(Advance(marker.source, done, marker.fingerprint.size, outcome.records, outcome.raw_bytes))

    def _producer(self, source: Source) -> KafkaProducer:
        limit = self._settings.producer
        return KafkaProducer(
            bootstrap_servers=self._bootstrap_servers,
            # Named after the topic, not after the run: any two producers of a source in a topic fence each other.
            transactional_id=f"{self._records_topic.name}/{source.id}",
            transaction_timeout_ms=limit.transaction_timeout_ms,
            compression_type=None if limit.compression == "none" else limit.compression,
            acks="all",
            linger_ms=50,
            batch_size=1 << 20,
            max_request_size=MAX_MESSAGE_BYTES,
            request_timeout_ms=self._settings.kafka.request_timeout_ms,
            max_block_ms=int(limit.retry_s * 1000),
        )

    def _is_over(self, plan: Plan, outcome: Outcome) -> bool:
        if plan.action in ("start", "resume"):
            return False
        outcome.state = {"still_cut": TRUNCATED}.get(plan.action, plan.action)
        outcome.message = plan.message
        return True

    def _reader(self) -> ProgressReader:
        if self._progress is None:
            self._progress = ProgressReader(
                self._progress_topic,
                self._bootstrap_servers,
                request_timeout_ms=self._settings.kafka.request_timeout_ms,
                wait_s=2 * self._settings.producer.transaction_timeout_ms / 1000,
            )
        return self._progress

    def _drop_progress(self) -> None:
        if self._progress is not None:
            self._progress.close()
            self._progress = None

    def _taken_over(self, source: Source, outcome: Outcome) -> bool:
        """After fencing: whether another producer has this source now (else the broker aborted a slow transaction)."""
        try:
            partition = partition_of(source.id, self._progress_topic.partitions)
            marker = self._reader().read(partition).get(source.id)
        except (KafkaError, ProgressError):
            return False
        if marker is None or marker.owner in (self._owner, self._seen_owner):
            return False
        outcome.state = "fenced"
        outcome.message = (
            f"{source.id}: another producer took this source over (host:process {marker.owner}); it goes on there"
        )
        return True


class _Transaction:
    """Records and the marker behind them, committed together."""

    def __init__(self, producer: KafkaProducer, records: Topic, progress: Topic, marker: Marker) -> None:
        self._producer = producer
        self._records = records
        self._progress = progress
        self.marker = marker

    def begin(self) -> None:
        self._producer.begin_transaction()
        self._began = time.monotonic()
        self._bytes = 0
        self._count = 0

    def add(self, item: Record | Stub) -> None:
        value = message_value(item)
        self._put(message_key(self.marker.source, item.place), value)
        stub = isinstance(item, Stub)
        damaged = isinstance(item, Stub) and item.reason == DAMAGED
        self.marker = replace(
            self.marker,
            place=item.next,
            records=self.marker.records + 1,
            stubs=self.marker.stubs + stub,
            damaged=self.marker.damaged + damaged,
            raw_bytes=self.marker.raw_bytes + len(value),
        )

    def retract(self) -> None:
        """Take back the stub of the record that was cut, now that the source has grown."""
        assert self.marker.cut is not None
        fields = dict(self.marker.cut)
        place = Place(*fields["place"])
        stub = Stub(
            place, place, fields["length"], fields["reason"], fields["detail"], fields["header"].encode("latin-1")
        )
        self._put(message_key(self.marker.source, place), stub_value(stub, records=-1))
        raw_bytes = self.marker.raw_bytes - len(stub_value(stub))
        self.marker = replace(
            self.marker, cut=None, records=self.marker.records - 1, stubs=self.marker.stubs - 1, raw_bytes=raw_bytes
        )

    def is_full(self, limit_bytes: int, limit_ms: int) -> bool:
        return self._bytes >= limit_bytes or (time.monotonic() - self._began) * 1000 >= limit_ms

    def commit(self) -> tuple[int, int]:
        """Commit; returns the records and bytes of this transaction."""
        crash_point("producer-in-transaction")
        self._producer.send(
            self._progress.name,
            key=self.marker.source.encode(),
            value=self.marker.at(self.marker.place).to_json(),
            partition=partition_of(self.marker.source, self._progress.partitions),
        )
        self._producer.commit_transaction()
        crash_point("producer-between-transactions")
        return self._count, self._bytes

    def _put(self, key: bytes, value: bytes) -> None:
        self._producer.send(self._records.name, key=key, value=value, partition=self.marker.partition)
        self._bytes += len(value)
        self._count += 1


def _damage(source: Source, stub: Stub) -> str:
    place = f"byte offset {stub.place.member:,}" + (f" + {stub.place.inner:,}" if stub.place.inner else "")
    return f"{source.path}, {place}: {stub.reason}: {stub.detail} ({stub.length:,} bytes; noted in the topic as a stub)"


def _cut_fields(stub: Stub) -> dict[str, Any]:
    return {**asdict(stub), "header": stub.header.decode("latin-1")}
