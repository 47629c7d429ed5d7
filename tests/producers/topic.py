"""What stands in a pipeline's topics, as a read_committed reader sees it; and ingestion in this process."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from kafka import KafkaConsumer, TopicPartition

from conf.settings import Settings
from producers.ingest import Ingester
from producers.report import Outcome
from producers.sources.identity import source_id
from producers.sources.source import Source
from producers.topic.markers import Marker, MarkerReader
from producers.topic.message import RECORD, RETRACTION
from producers.topic.topics import ensure_topics
from producers.wet.items import Record
from producers.wet.members import Place
from producers.wet.records import read_records


@dataclass
class Messages:
    """Kinds, places (`place-next`) and values of a source, in the order of the topic."""

    kinds: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    values: list[bytes] = field(default_factory=list)

    @property
    def raws(self) -> list[bytes]:
        return [value for kind, value in zip(self.kinds, self.values, strict=True) if kind == RECORD]

    @property
    def stubs(self) -> list[bytes]:
        return [value for kind, value in zip(self.kinds, self.values, strict=True) if kind != RECORD]

    @property
    def records(self) -> int:
        """How many records these messages stand for."""
        return sum(-1 if kind == RETRACTION else 1 for kind in self.kinds)


def here(path: Path) -> Source:
    return Source(source_id(path), str(path))


def ingest(settings: Settings, path: Path, **options: object) -> Outcome:
    return ingest_several(settings, [path], **options)[0]


def ingest_several(settings: Settings, paths: list[Path], **options: object) -> list[Outcome]:
    """One after the other by one ingester, as a worker does it."""
    topics = ensure_topics(settings, settings.bootstrap_servers)
    ingester = Ingester(settings, settings.bootstrap_servers, topics, **options)  # type: ignore[arg-type]
    try:
        return [ingester.ingest(here(path)) for path in paths]
    finally:
        ingester.close()


def read_topic(settings: Settings) -> dict[str, Messages]:
    """All messages by source; each source has to stand in one partition."""
    topic = ensure_topics(settings, settings.bootstrap_servers).records
    found: dict[str, Messages] = {}
    homes: dict[str, int] = {}
    consumer = KafkaConsumer(
        **settings.bootstrap_servers.client_options(),
        isolation_level="read_committed",
        enable_auto_commit=False,
        fetch_max_bytes=64 << 20,
        max_partition_fetch_bytes=32 << 20,
    )
    try:
        partitions = [TopicPartition(topic.name, number) for number in range(topic.partitions)]
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions)
        ends = consumer.end_offsets(partitions)
        while any(consumer.position(partition) < end for partition, end in ends.items()):
            for partition, messages in consumer.poll(timeout_ms=200).items():
                for message in messages:
                    named, _, place = message.key.decode().rpartition("@")
                    kind, _, source = named.partition(" ")
                    assert homes.setdefault(source, partition.partition) == partition.partition
                    of = found.setdefault(source, Messages())
                    of.kinds.append(kind)
                    of.keys.append(place)
                    of.values.append(message.value)
    finally:
        consumer.close()
    return found


def markers(settings: Settings) -> dict[str, Marker]:
    topic = ensure_topics(settings, settings.bootstrap_servers).progress
    reader = MarkerReader(topic, settings.bootstrap_servers, request_timeout_ms=30_000, wait_s=60)
    try:
        return dict(reader.read_to_high_watermark())
    finally:
        reader.close()


def expected_raws(path: Path) -> list[bytes]:
    return [item.raw for item in read_records(path) if isinstance(item, Record)]


def text(place: Place) -> str:
    """A place as keys have it."""
    return f"{place.member}+{place.inner}" if place.inner else str(place.member)


def assert_whole(settings: Settings, *paths: Path, url: str = "") -> None:
    """Every record of the files (ingested below `url`, if given) is in the topic once, in order, and with its place."""
    found, last = read_topic(settings), markers(settings)
    for path in paths:
        source = source_id(f"{url}/{path.name}" if url else path)
        messages = found[source]
        items = list(read_records(path))
        assert len(messages.values) == len(items)
        assert messages.raws == [item.raw for item in items if isinstance(item, Record)]
        assert messages.keys == [f"{text(item.place)}-{text(item.next)}" for item in items]
        marker = last[source]
        assert (marker.records, marker.raw_bytes) == (len(items), sum(map(len, messages.values)))
