"""The topic changes under a pipeline: partitions are added, retention deletes, a transaction stays open."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaAdminClient, KafkaProducer, TopicPartition

from producers.sample.writer import write_sample
from producers.sources.identity import source_id
from producers.topic.message import message_key, message_value, partition_of
from producers.topic.offsets import end_offsets
from producers.topic.topics import Topic, ensure_topics
from producers.wet.records import read_records
from sinks.documents.generations import Generations
from sinks.documents.log import partition_key
from sinks.keys import status_key
from sinks.statistics.builds import open_builds
from streaming.errors import StreamError
from tests.harness import Pipeline

Make = Callable[..., Pipeline]


@contextmanager
def admin_of(pipeline: Pipeline) -> Iterator[KafkaAdminClient]:
    admin = KafkaAdminClient(**pipeline.bootstrap_servers.client_options())
    try:
        yield admin
    finally:
        admin.close()


def records_topic(pipeline: Pipeline) -> Topic:
    return ensure_topics(pipeline.settings, pipeline.bootstrap_servers).records


def named(topic: Topic, offsets: Mapping[int, int]) -> dict[str, int]:
    return {partition_key(topic.id, number): offset for number, offset in offsets.items()}


def published_ends(pipeline: Pipeline) -> dict[str, int]:
    """Where the topic ends, as the running stream tells readers."""
    text: Any = pipeline.redis.hget(status_key(pipeline.settings.pipeline), "ends")
    return dict(json.loads(text or "{}"))


def wait_until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def delete_records(pipeline: Pipeline) -> None:
    """What retention does at its worst: delete everything up to the end of each partition."""
    topic = records_topic(pipeline)
    with admin_of(pipeline) as admin:
        admin.delete_records({TopicPartition(topic.name, number): -1 for number in range(topic.partitions)})


def files_in(folder: Path, partitions: int, wanted: Callable[[int], bool]) -> Path:
    """A sample file whose source goes to a partition that is wanted."""
    for number in range(1000):
        path = folder / f"source-{number}.warc.wet.gz"
        if wanted(partition_of(source_id(path), partitions)):
            return write_sample(path, records=60, seed=number + 10).path
    raise AssertionError


def test_partitions_added_under_a_running_stream_are_counted_once(
    make_pipeline: Make, sample: Path, tmp_path: Path
) -> None:
    pipeline = make_pipeline(stream__trigger_ms=100)
    pipeline.ingest(sample)
    lags: list[int] = []
    stream = pipeline.make_stream(on_lag=lags.append)
    running = threading.Thread(target=stream.run)
    running.start()
    try:
        pipeline.wait_for_records(301)
        with admin_of(pipeline) as admin:
            admin.create_partitions({pipeline.settings.records_topic: 6})
        added = files_in(tmp_path, 6, lambda partition: partition >= 4)
        pipeline.ingest(added)
        pipeline.wait_for_records(301 + 61)
        # Readers compute the lag from the ends that the stream publishes, of all partitions.
        topic = records_topic(pipeline)
        wait_until(lambda: published_ends(pipeline) == named(topic, end_offsets(pipeline.bootstrap_servers, topic)))
        wait_until(lambda: lags[-1] == 0)
    finally:
        stream.stop()
        running.join()
    assert max(lags) > 0, "the lag was known during the first micro-batches"
    pipeline.verified()
    found = Generations.of(pipeline.settings).open_live()
    assert found is not None
    open_builds(pipeline.settings, pipeline.redis).rebuild(found, found.documents.position())
    assert pipeline.live.stats()["records"] == 301 + 61
    pipeline.stream()
    assert pipeline.live.stats()["records"] == 301 + 61
    pipeline.verified()


def test_retention_that_deletes_only_processed_records_changes_nothing(
    make_pipeline: Make, sample: Path, tmp_path: Path
) -> None:
    pipeline = make_pipeline()
    pipeline.ingest(sample)
    pipeline.stream()
    topic = records_topic(pipeline)
    ends = end_offsets(pipeline.bootstrap_servers, topic)
    position = pipeline.documents.position()
    assert {n: position.get(partition_key(topic.id, n), 0) for n in ends} == ends
    delete_records(pipeline)
    before = pipeline.verified()
    pipeline.stream()
    assert pipeline.verified() == before
    second = write_sample(tmp_path / "second.warc.wet.gz", records=60, seed=2).path
    pipeline.ingest(second)
    pipeline.stream()
    assert pipeline.verified().records == 301 + 61
    assert not pipeline.documents.lost_offsets()


def test_records_lost_to_retention_are_refused_or_accepted_and_counted(
    make_pipeline: Make, sample: Path, tmp_path: Path
) -> None:
    pipeline = make_pipeline()
    pipeline.ingest(sample)
    pipeline.stream()
    topic = records_topic(pipeline)
    processed = sum(end_offsets(pipeline.bootstrap_servers, topic).values())
    lost = write_sample(tmp_path / "lost.warc.wet.gz", records=60, seed=2).path
    pipeline.ingest(lost)
    delete_records(pipeline)
    with pytest.raises(StreamError, match=r"not in the topic any more \(retention\).*lost_records=accept"):
        pipeline.stream()
    assert pipeline.verified().records == 301
    third = write_sample(tmp_path / "third.warc.wet.gz", records=50, seed=3).path
    pipeline.ingest(third)
    accepting = make_pipeline(stream__lost_records="accept", pipeline=pipeline.settings.pipeline)
    accepting.stream()
    assert accepting.verified().records == 301 + 51
    offsets = accepting.documents.lost_offsets()
    assert set(offsets) == {partition_key(topic.id, partition_of(source_id(lost), topic.partitions))}
    assert accepting.live.as_of()["positions"]["lost"] == sum(offsets.values())
    # 61 records, and a marker for each transaction.
    first = processed + sum(offsets.values())
    assert 61 < sum(offsets.values()) < 80 and first < sum(end_offsets(pipeline.bootstrap_servers, topic).values())
    accepting.stream()
    assert accepting.documents.lost_offsets() == offsets


def test_records_of_an_open_transaction_are_read_once_it_is_committed(
    make_pipeline: Make, sample: Path, tmp_path: Path
) -> None:
    """The position may not pass the first open transaction, although what follows it is committed."""
    pipeline = make_pipeline()
    topic = records_topic(pipeline)
    partition = partition_of(source_id(sample), topic.partitions)
    producer = KafkaProducer(**pipeline.bootstrap_servers.client_options(), transactional_id=f"{topic.name}/late")
    try:
        producer.init_transactions()
        producer.begin_transaction()
        for item in islice(read_records(sample), 5):
            producer.send(topic.name, message_value(item), message_key("late", item), partition=partition)
        producer.flush()
        pipeline.ingest(sample)
        pipeline.stream()
        assert pipeline.documents.row_count() == 0
        producer.commit_transaction()
    finally:
        producer.close()
    pipeline.stream()
    assert pipeline.verified().records == 301 + 5


def test_partitions_added_to_the_progress_topic_leave_one_last_marker_of_each_source(
    make_pipeline: Make, tmp_path: Path
) -> None:
    pipeline = make_pipeline()
    pipeline.ingest(write_sample(tmp_path / "first.warc.wet.gz", records=20).path)
    # Sources whose marker moves to a partition that is read before, or after, the one it was in.
    moved = [
        path
        for path in (tmp_path / f"moved-{number}.warc.wet.gz" for number in range(60))
        if partition_of(source_id(path), 6) != partition_of(source_id(path), 4)
    ][:12]
    contents = {}
    for number, path in enumerate(moved):
        contents[path] = write_sample(path, records=30, seed=number + 5).path.read_bytes()
        path.write_bytes(contents[path][: len(contents[path]) * 2 // 3])
    assert {outcome.state for outcome in pipeline.ingest(*moved)} == {"truncated"}
    with admin_of(pipeline) as admin:
        admin.create_partitions({pipeline.settings.progress_topic: 6})
    for path, content in contents.items():
        path.write_bytes(content)
    assert {outcome.state for outcome in pipeline.ingest(*moved)} == {"done"}
    before = end_offsets(pipeline.bootstrap_servers, records_topic(pipeline))
    pipeline.ingest(*moved)
    assert end_offsets(pipeline.bootstrap_servers, records_topic(pipeline)) == before, "ingested a second time"
    pipeline.stream()
    assert pipeline.verified().records == 21 + 31 * len(moved)
