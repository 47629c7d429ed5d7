"""Searches every Parquet file of a pipeline, and every message of its topic, for pages that were taken down."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from conf.addresses import BootstrapServers
from producers.topic.message import STUB_BEGIN
from producers.topic.offsets import first_offsets, high_watermarks
from producers.topic.topics import Topic, TopicError
from sinks.documents.errors import DamagedFileError
from sinks.documents.files import read_urls
from sinks.documents.generations import Generations
from sinks.documents.hosts import hosts_of
from sinks.documents.takedowns import TakedownMatcher
from sinks.storage.location import Location
from streaming.tasks.messages import read_messages

POLL_MS = 10_000
MAX_FETCH_BYTES = 64 << 20
BLANK_LINE = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A Parquet file of a documents table.

    Attributes:
        generation: The generation below which it is.
        path: Where it is.
        is_current: Whether the newest version of the table refers to it.
        pages: Rows of pages that were taken down, and should not be in it.
        problem: Why it could not be searched; "" if it was.
    """

    generation: str
    path: Location
    is_current: bool
    pages: int
    problem: str = ""


@dataclass(slots=True)
class FoundMessages:
    """Messages of a topic that were searched.

    Attributes:
        messages: Their number.
        offsets: By partition, the first and the end offset that were searched.
        matches: By partition, the offsets of messages with a page that was taken down.
    """

    messages: int = 0
    offsets: dict[int, tuple[int, int]] = field(default_factory=dict)
    matches: dict[int, list[int]] = field(default_factory=dict)

    @property
    def last(self) -> dict[int, int]:
        """By partition, the last of the matches."""
        return {partition: max(offsets) for partition, offsets in self.matches.items()}


def search_files(generations: Generations, name: str, matcher: TakedownMatcher) -> list[FoundFile]:
    """Search all Parquet files of a generation, whether a version of its table refers to them or not.

    Raises:
        DamagedFileError: A file of the newest version is missing, or is not what was written.
    """
    location = generations.location_of(name)
    listed = sorted(file for file in location.files() if file.endswith(".parquet"))
    current = {file["path"] for file in generations.open(name).documents.files()}
    found = []
    for file in sorted({*listed, *current}):
        path, is_current = location / file, file in current
        try:
            pages = matcher.match(*read_urls(path)).true_count
        except DamagedFileError as error:
            if is_current:
                raise
            if location.missing([file]):
                continue  # a vacuum has just deleted it
            found.append(FoundFile(name, path, is_current, 0, str(error)))
        else:
            found.append(FoundFile(name, path, is_current, pages))
    return found


def search_topic(bootstrap_servers: BootstrapServers, topic: Topic, matcher: TakedownMatcher) -> FoundMessages:
    """Search all messages of a topic, those of aborted transactions included.

    Raises:
        TopicError: The broker does not answer, or stops sending.
    """
    found = FoundMessages()
    first, ends = first_offsets(bootstrap_servers, topic), high_watermarks(bootstrap_servers, topic)
    for partition, end in sorted(ends.items()):
        found.offsets[partition] = (first.get(partition, 0), end)
        for messages in _read(bootstrap_servers, topic, partition, *found.offsets[partition]):
            found.messages += len(messages)
            mask = _match(messages, matcher)
            at = [message.offset for message, hit in zip(messages, mask, strict=True) if hit]
            if at:
                found.matches.setdefault(partition, []).extend(at)
    return found


def _match(messages: list[Any], matcher: TakedownMatcher) -> list[bool]:
    keys = pa.array([message.key for message in messages], pa.binary())
    hits = [False] * len(messages)
    # A stub carries the header of the record that could not be sent.
    for values in (
        [message.value or b"" for message in messages],
        [_carried(message.value or b"") for message in messages],
    ):
        urls = read_messages(keys, pa.array(values, pa.binary())).url
        mask = matcher.match(urls, hosts_of(urls.to_pylist())).to_pylist()
        hits = [hit or also for hit, also in zip(hits, mask, strict=True)]
    return hits


def _carried(value: bytes) -> bytes:
    if not value.startswith(STUB_BEGIN):
        return b""
    return value.partition(BLANK_LINE)[2].rstrip(b"\r\n") + BLANK_LINE


def _read(
    bootstrap_servers: BootstrapServers, topic: Topic, partition: int, first: int, end: int
) -> Iterator[list[Any]]:
    where = TopicPartition(topic.name, partition)
    try:
        consumer = KafkaConsumer(
            **bootstrap_servers.client_options(),
            isolation_level="read_uncommitted",
            max_partition_fetch_bytes=MAX_FETCH_BYTES,
            fetch_max_bytes=MAX_FETCH_BYTES,
        )
        try:
            consumer.assign([where])
            consumer.seek(where, first)
            while consumer.position(where) < end:
                before = consumer.position(where)
                polled: Mapping[Any, list[Any]] = consumer.poll(timeout_ms=POLL_MS, max_records=1_000)
                if messages := polled.get(where, []):
                    yield messages
                elif consumer.position(where) == before:
                    raise TopicError(
                        f"Kafka at {bootstrap_servers} sends nothing from offset {before} of partition {partition} of "
                        f"{topic.name} for {POLL_MS // 1000} s: run the same command again"
                    )
        finally:
            consumer.close()
    except KafkaError as error:
        raise TopicError(f"Kafka at {bootstrap_servers} did not send the messages of {topic.name}: {error}") from error
