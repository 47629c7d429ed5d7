"""Ingests one source into the topic, each record exactly once, whatever is killed and whenever.

Why that holds: records and their progress marker are one Kafka transaction, so both are visible or neither is. Every
run, and every retry after an error, begins with `init_transactions`, which aborts the open transaction of a predecessor
and fences one that is still alive. Only then is the marker read, and reading resumes at its place. Nothing is resumed
from memory.
"""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import Callable

from kafka.errors import KafkaError, TopicAuthorizationFailedError, TransactionalIdAuthorizationFailedError

from conf import reasons
from conf.addresses import BootstrapServers
from conf.errors import counted
from conf.settings import Settings
from producers.fencing import FENCINGS_WITHOUT_CLAIM, Attempt, is_fencing, wait_for_claim
from producers.plan import READS, PlanAction, SourcePlan, plan_source
from producers.report import Note, Outcome, OutcomeState, SourceProgress
from producers.source_producer import SourceProducer, open_producer
from producers.sources.files import SourceFile, fingerprint
from producers.sources.opening import open_source
from producers.sources.source import Source
from producers.topic.markers import ContractError, CutStub, Marker, MarkerReader, ProgressError, SourceState
from producers.topic.message import clip_header, partition_of
from producers.topic.topics import Topics
from producers.wet.items import Stub
from producers.wet.records import NotWetError, WetReader

STATE_OF_ACTION = {
    PlanAction.ALREADY: OutcomeState.ALREADY,
    PlanAction.STILL_CUT: OutcomeState.TRUNCATED,
    PlanAction.COPY: OutcomeState.COPY,
    PlanAction.CHANGED: OutcomeState.CHANGED,
    PlanAction.REMOVING: OutcomeState.REMOVING,
}
FATAL = (TopicAuthorizationFailedError, TransactionalIdAuthorizationFailedError)


class StopError(Exception):
    """Raised inside a wait or a read to stop at the last commit."""


class Ingester:
    """Ingests sources one after the other, over connections to the progress topic that it keeps.

    Args:
        settings: Limits of transactions, records and retries.
        bootstrap_servers: The broker.
        topics: Where records and markers go.
        allow_copies: Also ingest a source whose content is ingested under another identity.
        on_event: Called after each commit, and with notes; for remote sources also from a second thread.
        should_stop: Asked between transactions and while waiting.
    """

    def __init__(
        self,
        settings: Settings,
        bootstrap_servers: BootstrapServers,
        topics: Topics,
        *,
        allow_copies: bool = False,
        on_event: Callable[[SourceProgress | Note], None] = lambda event: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self._settings = settings
        self._bootstrap_servers = bootstrap_servers
        self._topics = topics
        self._allow_copies = allow_copies
        self._on_event = on_event
        self._should_stop = should_stop
        # Shorter than the client's default: we retry ourselves, and check for a stop in between.
        self._bootstrap_timeout_ms = int(min(5.0, settings.producer.retry_s) * 1000)
        self._progress: MarkerReader | None = None
        self._owner = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:12]}"

    def ingest(self, source: Source) -> Outcome:
        """Ingest a source to its end. Errors of the source, and of the broker, are in the outcome."""
        began = time.monotonic()
        outcome = Outcome(source.id, OutcomeState.FAILED)
        try:
            self._ingest(source, outcome)
        except StopError:
            outcome.state, outcome.message = OutcomeState.STOPPED, f"{source.id}: stopped; the next run goes on here"
        except NotWetError as error:
            outcome.state, outcome.message = OutcomeState.NOT_WET, str(error)
        except OSError as error:
            outcome.message = f"{source.name} cannot be read: {error.strerror or error}"
        except ContractError as error:
            outcome.message = str(error)
        except FATAL as error:
            outcome.message = f"Kafka refuses to take {source.id}: {error}"
        outcome.seconds = time.monotonic() - began
        return outcome

    def close(self) -> None:
        """Close the connections."""
        self._drop_progress()

    def _ingest(self, source: Source, outcome: Outcome) -> None:
        """Retry until an attempt completes, or Kafka accepts nothing for `retry_s`."""
        # Not by tenacity: it counts waits and limits from the first attempt, whereas here each commit resets both.
        retry_s = self._settings.producer.retry_s
        last_progress, wait_s, fencings = time.monotonic(), 0.2, 0
        while True:
            sent = outcome.records
            attempt = Attempt()
            try:
                self._attempt(source, outcome, attempt)
                return
            except FATAL:
                raise
            except (KafkaError, ProgressError) as error:
                reason: Exception = error
            if is_fencing(reason):
                fencings += attempt.is_young(self._settings.producer.transaction_timeout_ms)
                if self._taken_over(source, attempt, outcome, surely=fencings >= FENCINGS_WITHOUT_CLAIM):
                    return
            self._drop_progress()
            if outcome.records > sent:
                last_progress, wait_s = time.monotonic(), 0.2
            if time.monotonic() - last_progress > retry_s:
                outcome.message = (
                    f"{source.id}: Kafka at {self._bootstrap_servers} did not take its records for {retry_s:.0f} s "
                    f"({type(reason).__name__}: {reason}); run the same command again when it is back: it goes on "
                    "where it stopped"
                )
                return
            self._sleep(wait_s)
            wait_s = min(wait_s * 2, 5.0)

    def _attempt(self, source: Source, outcome: Outcome, attempt: Attempt) -> None:
        with open_source(
            source,
            self._settings.producer,
            on_note=lambda text: self._on_event(Note(source.id, text)),
            on_wait=self._check_stop,
        ) as file:
            found = fingerprint(file)
            # Most sources of a repeated run are done; a marker that may be stale shows that too, without a producer.
            plan = plan_source(
                source, file, found, self._reader().read_to_last_stable_offset(), allow_copies=self._allow_copies
            )
            if self._is_over(plan, outcome):
                return
            producer = open_producer(
                self._settings, self._bootstrap_servers, self._topics.records, source.id, self._bootstrap_timeout_ms
            )
            try:
                producer.init_transactions()
                partition = partition_of(source.id, self._topics.progress.partitions)
                markers = self._reader().read_to_high_watermark(partition if self._allow_copies else None)
                plan = plan_source(source, file, found, markers, allow_copies=self._allow_copies)
                if self._is_over(plan, outcome):
                    return
                marker = markers.get(source.id)
                attempt.found_owner = marker.owner if marker else ""
                if marker is None or marker.state is SourceState.REMOVED:
                    records_partition = partition_of(source.id, self._topics.records.partitions)
                    marker = Marker.first(source.id, source.uri, records_partition, found)
                marker = marker.at(marker.place, fingerprint=found, owner=self._owner, state=SourceState.INGESTING)
                # Before the first marker is written: a file that is no WET file leaves no trace in the topic.
                reader = self._open_reader(source, file, marker)
                attempt.producer = SourceProducer(producer, self._topics, marker)
                attempt.producer.claim()
                self._send(attempt.producer, reader, file, source, outcome)
            finally:
                # Whatever is still queued, the next attempt aborts it and reads the outcome from the topic.
                producer.abandon()

    def _open_reader(self, source: Source, file: SourceFile, marker: Marker) -> WetReader:
        limit = self._settings.producer
        return WetReader(
            file,
            source.name,
            start=marker.place,
            max_record_bytes=limit.max_record_bytes,
            verify_digests=limit.verify_digests,
            check=self._check_stop,
        )

    def _send(
        self, producer: SourceProducer, reader: WetReader, file: SourceFile, source: Source, outcome: Outcome
    ) -> None:
        """Send the rest of the source."""
        limit = self._settings.producer

        def commit_if_due() -> None:
            if producer.is_full(limit.transaction_bytes, limit.transaction_ms):
                if producer.count:
                    self._commit(producer, reader, outcome)
                self._check_stop()

        # A source that is slow to arrive or slow to read must not hold a transaction open: the broker would abort it.
        file.on_wait = reader.check = commit_if_due
        cut: Stub | None = None
        for item in reader:
            item = clip_header(item)
            if isinstance(item, Stub):
                outcome.damage.append(_damage(source, item))
                cut = item if item.reason == reasons.TRUNCATED else None
            producer.add(item)
            commit_if_due()
        damaged = producer.marker.damaged + producer.damaged
        state = SourceState.TRUNCATED if cut is not None else SourceState.DAMAGED if damaged else SourceState.DONE
        self._commit(producer, reader, outcome, state=state, cut=None if cut is None else CutStub.of(cut))
        outcome.state = OutcomeState(state)
        if cut is not None:
            whole = counted(producer.marker.records - 1, "whole record is", "whole records are")
            outcome.message = (
                f"{source.name} is cut: {cut.detail} (byte offset {cut.place.member:,}). Its {whole} "
                "ingested; fetch the rest of the file and ingest it again: it is carried on from there"
            )
        elif state is SourceState.DAMAGED:
            outcome.message = f"{source.name} is damaged in {counted(damaged, 'place')}; all whole records are ingested"

    def _commit(self, producer: SourceProducer, reader: WetReader, outcome: Outcome, **changes: object) -> None:
        records, raw_bytes = producer.commit(**changes)
        outcome.records += records
        outcome.raw_bytes += raw_bytes
        marker = producer.marker
        at = marker.fingerprint.size if marker.state is not SourceState.INGESTING else reader.consumed
        self._on_event(SourceProgress(marker.source, at, marker.fingerprint.size, outcome.records, outcome.raw_bytes))

    def _is_over(self, plan: SourcePlan, outcome: Outcome) -> bool:
        if plan.action in READS:
            return False
        outcome.state = STATE_OF_ACTION[plan.action]
        outcome.message = plan.message
        return True

    def _reader(self) -> MarkerReader:
        if self._progress is None:
            self._progress = MarkerReader(
                self._topics.progress,
                self._bootstrap_servers,
                request_timeout_ms=self._settings.kafka.request_timeout_ms,
                wait_s=2 * self._settings.producer.transaction_timeout_ms / 1000,
                bootstrap_timeout_ms=self._bootstrap_timeout_ms,
            )
        return self._progress

    def _drop_progress(self) -> None:
        if self._progress is not None:
            self._progress.close()
            self._progress = None

    def _taken_over(self, source: Source, attempt: Attempt, outcome: Outcome, *, surely: bool) -> bool:
        """Return whether another producer has this source now; otherwise the attempt is repeated."""
        try:
            claim = wait_for_claim(self._reader(), source.id, {self._owner, attempt.found_owner}, self._sleep)
        except KafkaError:
            return False
        if claim is None and not surely:
            return False
        who = f" (host:process {claim.owner})" if claim else ""
        outcome.state = OutcomeState.FENCED
        outcome.message = f"{source.id}: another producer took this source over{who}; it goes on there"
        return True

    def _check_stop(self) -> None:
        if self._should_stop():
            raise StopError

    def _sleep(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self._check_stop()
            time.sleep(min(left, 0.25))


def _damage(source: Source, stub: Stub) -> str:
    place = f"byte offset {stub.place.member:,}" + (f" + {stub.place.inner:,}" if stub.place.inner else "")
    length = counted(stub.length, "byte")
    return f"{source.name}, {place}: {stub.reason}: {stub.detail} ({length}; noted in the topic as a stub)"
