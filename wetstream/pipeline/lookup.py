"""Finds one record: by its URL in the documents table, by its position in the topic, or in a WET file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
from kafka import KafkaConsumer, TopicPartition

from conf.addresses import BootstrapServers
from conf.errors import NotFoundError, counted
from conf.reasons import TAKEN_DOWN
from conf.settings import Settings
from producers.sources.identity import source_id
from producers.topic.message import message_key, message_value
from producers.wet.records import read_records
from sinks.documents.table import Documents, Range
from streaming.tasks.messages import read_messages
from streaming.text.explain import Explanation, explain
from wetstream.pipeline.connections import find_servers
from wetstream.pipeline.profile import pipeline_profile
from wetstream.pipeline.writer_lease import live_documents

FETCH_TIMEOUT_MS = 10_000
MAX_FETCH_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Page:
    """A record as it was read, and what its header says."""

    name: str
    raw: bytes
    payload: bytes
    url: str | None
    language_header: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class PageExplanation:
    """Why a page is kept or rejected.

    Attributes:
        page: Its name: source and place, or file.
        url: Its URL, if it has one.
        profile: Name of the rules.
        explanation: What they make of it.
    """

    page: str
    url: str | None
    profile: str
    explanation: Explanation


@dataclass(frozen=True, slots=True)
class TopicMessage:
    """A message of the records topic, and its row in the documents table; None while it is not processed."""

    key: bytes | None
    value: bytes
    row: dict[str, Any] | None


def explain_page(settings: Settings, target: str, record: int, examples: int) -> PageExplanation:
    """Explain the page that `find_page` finds. Raises NotFoundError."""
    profile = pipeline_profile(settings, replace_rules=True)  # it only looks
    page = find_page(settings, target, record)
    explanation = explain(page.payload, page.language_header, profile, examples)
    return PageExplanation(page.name, page.url, profile.name, explanation)


def topic_message(settings: Settings, partition: int, offset: int) -> TopicMessage:
    """Read a message of the records topic and its row. Raises NotFoundError."""
    key, value = message_at(settings, find_servers(settings).bootstrap_servers, partition, offset)
    row = row_at(live_documents(settings), partition, offset)
    if row is not None and row["reason"] == TAKEN_DOWN:
        raise NotFoundError(f"the page at {partition}:{offset} was taken down (`wetstream takedowns`)")
    return TopicMessage(key, value, row)


def url_message(settings: Settings, url: str) -> TopicMessage:
    """Read the message of a URL, the last one if it was crawled several times, and its row. Raises NotFoundError."""
    row = _last_row(settings, url)
    return topic_message(settings, row["topic_partition"], row["topic_offset"])


def rows_of_url(documents: Documents, url: str) -> list[dict[str, Any]]:
    """Return the documents rows of a URL, with their positions in the topic."""
    files = documents.parquet_files()
    if not files:
        return []
    with documents.naming_damage(), files.connect() as connection:
        query = "select source, topic_partition, topic_offset, reason from read_parquet(?) where url = ?"
        found = connection.execute(query, [files.uris, url])
        names = [column[0] for column in found.description or []]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def row_at(documents: Documents, partition: int, offset: int) -> dict[str, Any] | None:
    """Return the documents row of a topic position; None while it is not processed."""
    for batch in documents.scan([Range(partition, offset, offset + 1)]):
        row: dict[str, Any] = batch.to_pylist()[0]
        return row
    return None


def message_at(
    settings: Settings, bootstrap_servers: BootstrapServers, partition: int, offset: int
) -> tuple[bytes | None, bytes]:
    """Return key and value of the message at a position of the records topic. Raises NotFoundError."""
    where = TopicPartition(settings.records_topic, partition)
    consumer = KafkaConsumer(
        **bootstrap_servers.client_options(),
        isolation_level="read_committed",
        max_partition_fetch_bytes=MAX_FETCH_BYTES,
        fetch_max_bytes=MAX_FETCH_BYTES,
    )
    try:
        if partition not in (consumer.partitions_for_topic(settings.records_topic) or ()):
            raise NotFoundError(f"topic {settings.records_topic} has no partition {partition}")
        consumer.assign([where])
        consumer.seek(where, offset)
        polled: Mapping[Any, Any] = consumer.poll(timeout_ms=FETCH_TIMEOUT_MS, max_records=1)
        for message in polled.get(where, ()):
            if message.offset == offset:
                return message.key, message.value or b""
    finally:
        consumer.close()
    raise NotFoundError(
        f"topic {settings.records_topic} has no record at {partition}:{offset} (a transaction's marker, aborted, or "
        "beyond its end)"
    )


def pages_of(path: Path) -> Iterator[Page]:
    """Yield the pages of a WET file, or a text file (.txt) as one page. Raises NotWetError for other formats."""
    if path.suffix in (".txt", ".text"):
        content = path.read_bytes()
        yield Page(str(path), content, content, None, None, None)
        return
    for item in read_records(path):
        page = read_page(message_key(source_id(path), item), message_value(item))
        if page.reason is None:
            yield page


def read_page(key: bytes | None, value: bytes) -> Page:
    """Return a message of the topic as a page; `reason` says why it is none."""
    messages = read_messages(pa.array([key], pa.binary()), pa.array([value], pa.binary()))
    start, end = int(messages.starts[0]), int(messages.ends[0])
    payload = messages.data[start:end].tobytes() if start >= 0 else b""
    name = f"{messages.source[0]}@{messages.record_offset[0]}"
    return Page(name, value, payload, messages.url[0].as_py(), messages.language_header[0], messages.reason[0])


def find_page(settings: Settings, target: str, record: int) -> Page:
    """Return the page behind a URL of the pipeline's documents, or page number `record` (from 1) of a file.

    Raises NotFoundError.
    """
    path = Path(target)
    if os.path.isfile(path):  # noqa: PTH113 - unlike Path.is_file, for any text
        page = next(islice(pages_of(path), record - 1, None), None)
        if page is None:
            raise NotFoundError(f"{target} has fewer than {counted(record, 'page')}")
        return page
    if "://" not in target:
        raise NotFoundError(f"{target} is neither a file nor a URL (http://…)")
    row = _last_row(settings, target)
    key, value = message_at(
        settings, find_servers(settings).bootstrap_servers, row["topic_partition"], row["topic_offset"]
    )
    return read_page(key, value)


def _last_row(settings: Settings, url: str) -> dict[str, Any]:
    rows = [row for row in rows_of_url(live_documents(settings), url) if row["topic_offset"] is not None]
    if not rows:
        raise NotFoundError(f"no document of pipeline {settings.pipeline} has the URL {url} (it must be exactly equal)")
    return rows[-1]
