"""A source's chain from its file, and records of it that are missing from the topic, sent once more.

Both belong to a repair, which first holds the source: its own transactional producer commits the marker again under
the repair's name, so an ingestion that is under way is fenced. The counts of the marker stay, since it counts the
missing records already.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Set
from dataclasses import replace

from conf.addresses import BootstrapServers
from conf.crash_points import crash_point
from conf.errors import ExplainedError, counted
from conf.settings import Settings
from producers.source_producer import open_producer
from producers.sources.files import begins_with
from producers.sources.opening import open_location
from producers.sources.source import Source
from producers.topic.markers import Marker, MarkerReader
from producers.topic.message import clip_header, message_key, message_value, partition_of
from producers.topic.topics import Topics
from producers.wet.items import Record, Stub
from producers.wet.members import BEGINNING, Place
from producers.wet.records import WetReader

Link = tuple[Place, Place]


class RefillError(ExplainedError):
    """A source cannot be read, or somebody else is ingesting it; the message says which."""


class Refiller:
    """Holds sources and refills them, for one repair. `owner` is what the markers name meanwhile."""

    def __init__(self, settings: Settings, bootstrap_servers: BootstrapServers, topics: Topics, owner: str) -> None:
        self._settings = settings
        self._bootstrap_servers = bootstrap_servers
        self._topics = topics
        self._owner = owner
        self._reader = MarkerReader(
            topics.progress,
            bootstrap_servers,
            request_timeout_ms=settings.kafka.request_timeout_ms,
            wait_s=2 * settings.producer.transaction_timeout_ms / 1000,
        )

    def close(self) -> None:
        """Close the connections."""
        self._reader.close()

    def markers(self) -> dict[str, Marker]:
        """Last marker of every source, when every open transaction has ended."""
        return dict(self._reader.read_to_high_watermark())

    def hold(self, source: str) -> Marker | None:
        """Fence every producer of a source; returns its marker, None if it has none."""
        return self._commit(source, [], None)

    def refill(self, source: Source, marker: Marker, missing: Collection[Link]) -> int:
        """Send the records with these places again.

        Returns:
            How many were sent.

        Raises:
            RefillError: The file does not hold them, or another producer has the source.
        """
        wanted = set(missing)
        limit = self._settings.producer.transaction_bytes
        batch: list[Record | Stub] = []
        sent = size = 0
        for item in self._missing(source, marker, wanted):
            batch.append(item)
            sent, size = sent + 1, size + len(message_value(item))
            if size >= limit:
                self._commit(marker.source, batch, marker)
                crash_point("repair-between-transactions")
                batch, size = [], 0
        if batch:
            self._commit(marker.source, batch, marker)
        if sent != len(wanted):
            raise RefillError(
                f"{source.name} holds only {sent:,} of {counted(len(wanted), 'missing record')} of {source.id}"
            )
        return sent

    def _missing(self, source: Source, marker: Marker, wanted: Set[Link]) -> Iterator[Record | Stub]:
        for item in self._items(source, marker, min(place for place, _ in wanted)):
            if (item.place, item.next) in wanted:
                yield item
        if marker.cut is not None and (marker.place, marker.place) in wanted:
            yield marker.cut.stub()

    def chain(self, source: Source, marker: Marker) -> list[Link]:
        """Places of all records of a source up to the end that its marker knows, each with the place behind it.

        Raises:
            RefillError: The file cannot be read, or is another one.
        """
        links = [(item.place, item.next) for item in self._items(source, marker, BEGINNING)]
        if marker.cut is not None:
            links.append((marker.place, marker.place))
        if (links[-1][1] if links else BEGINNING) != marker.place:
            raise RefillError(
                f"{source.name} does not lead to the place up to which {source.id} was ingested: it is not the file "
                "that was ingested, or it was read by other rules (producer.max_record_bytes, producer.verify_digests)"
            )
        return links

    def _items(self, source: Source, marker: Marker, begin: Place) -> Iterator[Record | Stub]:
        limit = self._settings.producer
        try:
            with open_location(source.location, limit) as file:
                if not begins_with(file, marker.fingerprint):
                    raise RefillError(f"{source.name} has other content than when {source.id} was ingested")
                reader = WetReader(
                    file,
                    source.name,
                    start=begin,
                    max_record_bytes=limit.max_record_bytes,
                    verify_digests=limit.verify_digests,
                )
                for item in reader:
                    if item.place >= marker.place:
                        return
                    yield clip_header(item)
        except OSError as error:
            raise RefillError(f"{source.name} cannot be read: {error.strerror or error}") from error

    def _commit(self, source: str, items: Collection[Record | Stub], held: Marker | None) -> Marker | None:
        """One transaction of the source's producer, with its marker; `held` must still be the last one."""
        partition = partition_of(source, self._topics.progress.partitions)
        producer = open_producer(self._settings, self._bootstrap_servers, self._topics.records, source)
        try:
            producer.init_transactions()
            marker = self._reader.read_to_high_watermark(partition).get(source)
            if marker is None:
                return None
            if held is not None and (marker.owner, marker.place) != (self._owner, held.place):
                raise RefillError(f"another producer has taken {source} over; it goes on there")
            marker = replace(marker, owner=self._owner).at(marker.place)
            producer.begin_transaction()
            for item in items:
                key, value = message_key(source, item), message_value(item)
                producer.send(self._topics.records.name, key=key, value=value, partition=marker.partition)
            producer.send(self._topics.progress.name, key=source.encode(), value=marker.to_json(), partition=partition)
            crash_point("repair-in-transaction")
            producer.commit_transaction()
            return marker
        finally:
            producer.abandon()
