"""The stream against real servers: the same numbers however it is cut, whatever is lost besides the table."""

from __future__ import annotations

import re
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from producers.sample.writer import write_sample
from producers.topic.offsets import end_offsets
from producers.topic.topics import describe_topic
from sinks.documents.errors import DocumentsError
from sinks.keys import key_types, lease_key
from sinks.lease import LeaseError
from sinks.statistics.errors import OtherDocumentsError
from streaming import admission
from streaming.errors import StreamError
from streaming.query import DIRECT_TASKS, BatchProgress
from tests.harness import Pipeline

Make = Callable[..., Pipeline]


@pytest.fixture
def second(tmp_path: Path) -> Path:
    return write_sample(tmp_path / "second.warc.wet.gz", records=200, seed=2).path


def test_many_small_micro_batches_give_the_digest_of_one(make_pipeline: Make, sample: Path) -> None:
    whole = make_pipeline()
    whole.ingest(sample)
    whole.stream()
    cut = make_pipeline(pipeline=whole.settings.pipeline + "-cut", stream__max_records=70, redis__chunk_words=1_000)
    cut.ingest(sample)
    batches: list[int] = []
    cut.stream(lambda progress: batches.append(progress.rows))
    assert len([rows for rows in batches if rows]) >= 4
    assert cut.verified().digest == whole.verified().digest


def test_many_tasks_are_added_up_by_spark(make_pipeline: Make, sample: Path) -> None:
    few = make_pipeline()
    few.ingest(sample)
    few.stream()
    many = make_pipeline(pipeline=few.settings.pipeline + "-many", stream__min_partitions=DIRECT_TASKS + 1)
    many.ingest(sample)
    many.stream()
    assert many.verified().digest == few.verified().digest


def test_segments_are_added_even_after_losing_checkpoint_and_redis(
    make_pipeline: Make, sample: Path, second: Path
) -> None:
    pipeline = make_pipeline(profile="english")
    pipeline.ingest(sample)
    pipeline.stream()
    first = pipeline.verified()
    pipeline.stream()
    assert pipeline.verified().digest == first.digest, "a stream with nothing new changes nothing"
    shutil.rmtree(pipeline.settings.home / "spark" / "checkpoints", ignore_errors=True)
    pipeline.ingest(second)
    pipeline.stream()
    both = pipeline.verified()
    assert both.records == first.records + 201
    pipeline.forget_redis()
    pipeline.stream()
    assert pipeline.verified().digest == both.digest


def test_truncated_then_completed_file_equals_the_whole_file(make_pipeline: Make, sample: Path, tmp_path: Path) -> None:
    whole = make_pipeline()
    whole.ingest(sample)
    whole.stream()
    growing = tmp_path / sample.name
    content = sample.read_bytes()
    growing.write_bytes(content[: len(content) * 2 // 3])
    pipeline = make_pipeline(pipeline=whole.settings.pipeline + "-grown")
    assert [outcome.state for outcome in pipeline.ingest(growing)] == ["truncated"]
    pipeline.stream()
    assert pipeline.live.stats()["rejected"]["truncated"] == 1
    growing.write_bytes(content)
    assert [outcome.state for outcome in pipeline.ingest(growing)] == ["done"]
    pipeline.stream()
    pipeline.verified()
    mine, right = pipeline.live.stats(), whole.live.stats()
    for name in ("records", "documents", "tokens", "words", "payload_bytes", "rejected", "length"):
        assert mine[name] == right[name]


def test_a_mistyped_documents_path_is_refused_and_creates_nothing(
    make_pipeline: Make, sample: Path, tmp_path: Path
) -> None:
    pipeline = make_pipeline()
    pipeline.ingest(sample)
    pipeline.stream()
    right = pipeline.verified().digest
    mistyped = make_pipeline(documents__path=str(tmp_path / "mistyped"))
    with pytest.raises(OtherDocumentsError, match=r"not of .*mistyped.*documents\.path"):
        mistyped.stream()
    assert not (tmp_path / "mistyped").exists()
    assert pipeline.verified().digest == right


def test_stop_ends_after_the_current_micro_batch(make_pipeline: Make, sample: Path) -> None:
    pipeline = make_pipeline(stream__max_records=60)
    pipeline.ingest(sample)
    stream = pipeline.make_stream(lambda progress: stream.stop() if progress.rows else None)
    stream.run()
    processed = pipeline.live.stats()["records"]
    assert 60 <= processed < 301
    pipeline.verified()
    pipeline.stream()
    assert pipeline.live.stats()["records"] == 301


def test_micro_batches_of_a_backlog_grow_and_the_lag_is_that_of_the_numbers(
    make_pipeline: Make, sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "FIRST_OFFSETS", 20)
    pipeline = make_pipeline(stream__target_batch_s=60.0)
    pipeline.ingest(sample)
    topic = describe_topic(pipeline.settings, pipeline.bootstrap_servers, pipeline.settings.records_topic)
    assert topic is not None
    ends = sum(end_offsets(pipeline.bootstrap_servers, topic).values())
    rows: list[int] = []
    lags: list[tuple[int | None, int]] = []

    def observe(progress: BatchProgress) -> None:
        if progress.rows:
            rows.append(progress.rows)

    stream = pipeline.make_stream(observe)
    thread = threading.Thread(target=stream.run)
    thread.start()
    try:
        pipeline.wait_for_records(301)
        deadline = time.monotonic() + 60
        while not lags or lags[-1][0] != 0:
            assert time.monotonic() < deadline, lags
            as_of = pipeline.live.stats()["as_of"]
            lags.append((as_of["lag"], ends - sum(as_of["positions"].values())))
            time.sleep(0.1)
    finally:
        stream.stop()
        thread.join(60)
    assert all(lag in (None, waiting) for lag, waiting in lags)
    assert 0 < rows[0] <= 20 < rows[1] and sum(rows) == 301
    pipeline.verified()


def test_the_error_of_a_second_writer_names_the_first(make_pipeline: Make, sample: Path) -> None:
    pipeline = make_pipeline()
    pipeline.ingest(sample)
    stream = pipeline.make_stream()
    thread = threading.Thread(target=stream.run)
    thread.start()
    try:
        deadline = time.monotonic() + 60
        while not pipeline.redis.exists(lease_key(pipeline.settings.pipeline)):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        with pytest.raises(LeaseError, match="another writer has this pipeline: process"):
            pipeline.stream()
    finally:
        stream.stop()
        thread.join(60)
    assert not thread.is_alive()


def test_other_rules_are_refused_before_anything_is_counted(make_pipeline: Make, sample: Path) -> None:
    pipeline = make_pipeline()
    pipeline.ingest(sample)
    pipeline.stream()
    before = pipeline.verified()
    pipeline.profile = "english"
    with pytest.raises(DocumentsError, match=r"made with profile p21.*replay --profile english"):
        pipeline.stream()
    assert pipeline.verified() == before


def test_a_redis_key_of_another_type_is_named_at_once(make_pipeline: Make, sample: Path) -> None:
    pipeline = make_pipeline()
    pipeline.ingest(sample)
    pipeline.stream()
    before = pipeline.verified()
    for key in key_types(pipeline.settings.pipeline):
        held = pipeline.redis.dump(key)
        pipeline.redis.delete(key)
        pipeline.redis.zadd(key, {"foreign": 1})
        with pytest.raises(StreamError, match=f"Redis key {re.escape(key)} is a zset.*redis.url"):
            pipeline.stream()
        pipeline.redis.delete(key)
        if held is not None:
            pipeline.redis.restore(key, 0, bytes(held))  # type: ignore[arg-type]
    pipeline.stream()
    assert pipeline.verified() == before


def test_unusable_documents_folder_ends_the_stream_at_once(make_pipeline: Make, sample: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    pipeline = make_pipeline(documents__path=str(tmp_path / "file" / "documents"))
    pipeline.ingest(sample)
    with pytest.raises(DocumentsError, match=r"file/documents.* cannot be read \(Not a directory\).*documents\.path"):
        pipeline.stream()


@pytest.mark.parametrize("damage", ["cut", "missing"])
def test_a_parquet_file_that_cannot_be_read_is_named(damage: str, make_pipeline: Make, sample: Path) -> None:
    """Found when the statistics have to be counted from it."""
    pipeline = make_pipeline()
    pipeline.ingest(sample)
    pipeline.stream()
    (path, *_) = map(Path, pipeline.documents.file_paths())
    content = path.read_bytes()
    if damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    else:
        path.unlink()
    pipeline.forget_redis()
    with pytest.raises((StreamError, DocumentsError)) as raised:
        pipeline.stream()
    assert path.name in str(raised.value) and "\n" not in str(raised.value)
    path.write_bytes(content)
    pipeline.stream()
    assert pipeline.verified().records == 301
