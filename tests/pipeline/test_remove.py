"""Sources taken out again, exactly: as if they had never been there; and added again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from producers.sample.writer import write_sample
from producers.sources.identity import source_id
from streaming.switch import switch
from tests.harness import Pipeline
from wetstream.pipeline.ledger import ledger, read_markers
from wetstream.pipeline.remove import UnknownSourceError, find_sources

Make = Callable[..., Pipeline]


@pytest.fixture
def second(tmp_path: Path) -> Path:
    return write_sample(tmp_path / "second.warc.wet.gz", records=200, seed=2).path


def state_of(pipeline: Pipeline, path: Path) -> str:
    rows = ledger(pipeline.live.sources()["sources"], read_markers(pipeline.settings))
    return next(row["state"] for row in rows if row["source"] == source_id(path))


def test_removal_equals_never_ingested_and_is_reversible(make_pipeline: Make, sample: Path, second: Path) -> None:
    pipeline = make_pipeline(redis__top_words=500, redis__chunk_words=1_000)
    pipeline.ingest(sample)
    pipeline.stream()
    one, top = pipeline.verified().digest, pipeline.live.top(500)["words"]
    pipeline.ingest(second)
    pipeline.stream()
    both = pipeline.verified().digest
    assert pipeline.live.top(500)["words"] != top
    build = pipeline.live_prefix()
    assert pipeline.remove(second) == 201
    assert pipeline.live_prefix() == build, "the rest is not recounted"
    assert pipeline.verified().digest == one and pipeline.live.top(500)["words"] == top
    assert state_of(pipeline, second) == "removed"
    pipeline.stream()
    assert pipeline.verified().digest == one
    assert [outcome.state for outcome in pipeline.ingest(second)] == ["done"]
    pipeline.stream()
    assert pipeline.verified().digest == both
    # Replays leave out the records that a removal covers, and only those.
    pipeline.replay()
    assert pipeline.verified().digest == both and pipeline.documents.location.name == "g2"
    assert pipeline.remove(sample, second) == 301 + 201
    assert pipeline.live.stats()["words"] == 0 and pipeline.live.top(10)["words"] == []
    pipeline.verified()


def test_removal_between_a_replay_and_its_switch_reaches_the_new_generation(
    make_pipeline: Make, sample: Path, second: Path
) -> None:
    pipeline = make_pipeline()
    pipeline.ingest(sample)
    pipeline.stream()
    one = pipeline.verified().digest
    pipeline.ingest(second)
    pipeline.stream()
    result = pipeline.replay(switch_over=False)
    assert pipeline.remove(second) == 201
    assert switch(pipeline.settings, pipeline.redis, result.generation) == 301
    assert pipeline.documents.location.name == "g2" and pipeline.verified().digest == one
    pipeline.stream()
    assert pipeline.verified().digest == one


def test_removed_records_still_in_the_topic_do_not_return(make_pipeline: Make, sample: Path, second: Path) -> None:
    pipeline = make_pipeline()
    pipeline.ingest(sample)
    pipeline.stream()
    one = pipeline.verified().digest
    pipeline.ingest(second)
    assert pipeline.remove(second) == 0
    pipeline.stream()
    assert pipeline.verified().digest == one
    pipeline.forget_redis()
    pipeline.stream()
    assert pipeline.verified().digest == one


def test_a_running_stream_removes_between_micro_batches(make_pipeline: Make, sample: Path, second: Path) -> None:
    pipeline = make_pipeline(stream__trigger_ms=100)
    pipeline.ingest(sample, second)
    stream = pipeline.make_stream()
    running = threading.Thread(target=stream.run)
    running.start()
    try:
        pipeline.wait_for_records(301 + 201)
        assert pipeline.remove(second) == 201
        pipeline.wait_for_records(301)
        pipeline.ingest(second)
        pipeline.wait_for_records(301 + 201)
    finally:
        stream.stop()
        running.join()
    pipeline.verified()


def test_sources_read_from_files_can_be_removed_and_ingested(make_pipeline: Make, sample: Path, second: Path) -> None:
    pipeline = make_pipeline()
    pipeline.replay(sample, second)
    both = pipeline.verified().digest
    assert pipeline.remove(second) == 201
    pipeline.ingest(second)
    pipeline.stream()
    assert pipeline.verified().digest == both


def test_unknown_settings_are_refused(make_pipeline: Make, sample: Path, tmp_path: Path) -> None:
    pipeline = make_pipeline()
    pipeline.ingest(sample)
    pipeline.stream()
    with pytest.raises(UnknownSourceError, match=r"other\.wet\.gz is no source"):
        find_sources(pipeline.settings, [str(tmp_path / "other.wet.gz")], [], [])
    with pytest.raises(UnknownSourceError, match="segment"):
        find_sources(pipeline.settings, [], ["1700000000000.1"], [])
    assert find_sources(pipeline.settings, [str(sample)], [], []) == [source_id(sample)]
