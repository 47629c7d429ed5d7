"""Pages taken down while everything runs: kept out from every side, counted as such, and purged without a trace."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from kafka import KafkaConsumer, TopicPartition

from conf.reasons import TAKEN_DOWN
from producers.sample.writer import write_sample
from producers.sources.identity import source_id
from streaming.errors import StreamError
from streaming.switch import switch
from tests.harness import Pipeline
from wetstream.pipeline.ledger import ledger, read_markers

Make = Callable[..., Pipeline]


@pytest.fixture
def second(tmp_path: Path) -> Path:
    return write_sample(tmp_path / "second.warc.wet.gz", records=200, seed=2).path


def common_host(pipeline: Pipeline) -> str:
    """A host with pages in the documents, kept ones among them."""
    rows = pipeline.public.documents.to_arrow(columns=["host", "reason"])
    kept = Counter(rows.filter(pc.is_null(rows["reason"]))["host"].to_pylist())
    kept.pop(None, None)
    return str(kept.most_common(1)[0][0])


def rejected(pipeline: Pipeline) -> int:
    return pipeline.live.stats()["rejected"].get(TAKEN_DOWN, 0)


def everything_stored(pipeline: Pipeline) -> tuple[list[dict[str, Any]], list[bytes]]:
    """All rows of all Parquet files of the pipeline, and all values of its topic, read without wetstream."""
    folder = pipeline.settings.home / "documents" / pipeline.settings.pipeline
    rows = [row for path in folder.glob("*/documents-*.parquet") for row in pq.read_table(path).to_pylist()]
    consumer = KafkaConsumer(**pipeline.bootstrap_servers.client_options(), isolation_level="read_uncommitted")
    values: list[bytes] = []
    try:
        partitions = [TopicPartition(pipeline.settings.records_topic, n) for n in range(4)]
        consumer.assign(partitions)
        consumer.seek_to_beginning()
        ends = consumer.end_offsets(partitions)
        while any(consumer.position(each) < ends[each] for each in partitions):
            for messages in consumer.poll(timeout_ms=5_000).values():
                values += [message.value for message in messages]
    finally:
        consumer.close()
    return rows, values


def test_pages_taken_down_before_and_after_they_come(make_pipeline: Make, sample: Path, second: Path) -> None:
    after = make_pipeline(redis__top_words=500, redis__chunk_words=1_000)
    after.ingest(sample, second)
    after.stream()
    host, words = common_host(after), after.live.stats()["words"]
    before = make_pipeline(pipeline=f"{after.settings.pipeline}-before", redis__top_words=500)
    before.ingest(sample)
    before.stream()
    build, pending = after.live_prefix(), before.public.matching_pages(hosts=[host])

    taken = after.public.take_down(hosts=[host])
    assert taken.pages == after.live.stats()["rejected"][TAKEN_DOWN] > 0 and taken.purge is None
    assert after.live_prefix() == build, "the rest is not recounted"
    right, top = after.verified().digest, after.live.top(500)["words"]
    assert after.live.stats()["words"] < words and host not in str(after.public.documents.to_arrow().to_pylist())

    before.ingest(second)  # it waits in the topic meanwhile
    assert before.public.take_down(hosts=[host]).pages == pending
    before.stream()
    assert before.verified().digest == right and before.live.top(500)["words"] == top
    # The books balance, and nothing seems to be missing.
    rows = ledger(before.live.sources()["sources"], read_markers(before.settings), complete=True)
    assert {row["source"]: row["state"] for row in rows} == {source_id(path): "done" for path in (sample, second)}
    assert before.public.repair().removed == {}
    # Neither a lost Redis, nor a replay, nor another ingestion brings them back.
    before.forget_redis()
    before.stream()
    assert before.verified().digest == right
    before.replay()
    assert before.verified().digest == right and before.documents.location.name == "g2"
    before.replay(sample, second)
    assert before.verified().digest == right and before.documents.location.name == "g3"
    assert before.remove(second) == 201
    before.ingest(second)
    before.stream()
    assert before.verified().digest == right


def test_a_takedown_between_a_replay_and_its_switch_reaches_the_new_generation(
    make_pipeline: Make, sample: Path
) -> None:
    pipeline = make_pipeline()
    pipeline.ingest(sample)
    pipeline.stream()
    result = pipeline.replay(switch_over=False)
    pipeline.public.take_down(patterns=[r"^https?://[^/]*\.com/"])
    right = pipeline.verified().digest
    assert rejected(pipeline)
    assert switch(pipeline.settings, pipeline.redis, result.generation) == 301
    assert pipeline.documents.location.name == "g2" and pipeline.verified().digest == right


def test_a_running_stream_takes_down_and_a_purge_leaves_nothing(
    make_pipeline: Make, sample: Path, second: Path
) -> None:
    pipeline = make_pipeline(stream__trigger_ms=100, documents__compact_every=2)
    pipeline.ingest(sample)
    stream = pipeline.make_stream()
    running = threading.Thread(target=stream.run)
    running.start()
    try:
        pipeline.wait_for_records(301)
        host = common_host(pipeline)
        rows, values = everything_stored(pipeline)
        assert any(row["host"] == host for row in rows) and any(host.encode() in value for value in values)
        pipeline.public.slice(as_of=pipeline.documents.version).stats()
        taken = pipeline.public.take_down(hosts=[host], purge=True)
        assert taken.pages == rejected(pipeline) > 0
        pipeline.ingest(second)
        pipeline.wait_for_records(301 + 201)
    finally:
        stream.stop()
        running.join()
    purge = taken.purge
    assert purge is not None and purge.complete and purge.files_deleted and purge.deleted_before, purge
    assert purge.versions["g1"][1] > 0 and purge.files
    assert not list((pipeline.settings.home / "slices").rglob("*.parquet"))
    # What came since waits in the topic's archive.
    again = pipeline.public.take_down(purge=True)
    assert again.takedowns == [] and again.purge is not None and again.purge.complete
    rows, values = everything_stored(pipeline)
    assert not any(row["host"] == host or host in (row["url"] or "") for row in rows)
    assert not any(f"://{host}/".encode() in value for value in values)
    pipeline.verified()
    # A replay of the topic would lose what is gone with it; from the files it loses nothing.
    with pytest.raises(StreamError, match="are not in the topic any more"):
        pipeline.replay()
    right = pipeline.verified().digest
    accepting = make_pipeline(stream__lost_records="accept")
    accepting.replay(sample, second)
    assert accepting.verified().digest == right
