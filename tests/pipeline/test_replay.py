"""A replay from the topic, from files or from the documents equals the stream, which runs on meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from producers.sample.writer import write_sample
from sinks.documents.generations import Generations
from streaming.errors import StreamError
from streaming.switch import switch
from tests.harness import Pipeline

Make = Callable[..., Pipeline]


@pytest.fixture
def second(tmp_path: Path) -> Path:
    return write_sample(tmp_path / "second.warc.wet.gz", records=200, seed=2).path


@pytest.fixture
def cut(tmp_path: Path, sample: Path) -> Path:
    """A file that ends in the middle of a record, whose stub must be the same on every way."""
    path = tmp_path / "cut.warc.wet.gz"
    path.write_bytes(sample.read_bytes()[:-2000])
    return path


def generations(pipeline: Pipeline) -> list[str]:
    return Generations.of(pipeline.settings).names()


def test_every_way_gives_the_same(make_pipeline: Make, sample: Path, second: Path, cut: Path) -> None:
    sources = (sample, second, cut)
    streamed = make_pipeline()
    streamed.ingest(sample, second)
    streamed.ingest(cut, allow_copies=True)
    streamed.stream()
    digest = streamed.verified().digest
    # From the topic, into a generation beside the live one; nothing changes until the switch.
    result = streamed.replay(switch_over=False)
    assert generations(streamed) == ["g1", "g2"] and streamed.verified().version == streamed.documents.version
    assert streamed.documents.location.name == "g1"
    assert switch(streamed.settings, streamed.redis, result.generation) == result.records
    assert streamed.documents.location.name == "g2" and streamed.verified().digest == digest
    # From the files, in a pipeline that never saw Kafka, and in this one.
    loaded = make_pipeline(pipeline=streamed.settings.pipeline + "-files")
    loaded.replay(*sources)
    assert loaded.verified().digest == digest
    streamed.replay(*sources)
    assert streamed.documents.location.name == "g3" and streamed.verified().digest == digest
    assert len(streamed.documents.sources_from_files()) == 3
    # What Redis forgets is recounted from the documents, wherever those came from.
    loaded.forget_redis()
    loaded.replay(*sources, switch_over=False)
    switch(loaded.settings, loaded.redis, "g1")
    assert loaded.verified().digest == digest


def test_replay_then_stream(make_pipeline: Make, sample: Path, second: Path) -> None:
    expected = make_pipeline()
    expected.ingest(sample, second)
    expected.stream()
    pipeline = make_pipeline(pipeline=expected.settings.pipeline + "-first")
    pipeline.replay(sample)
    # The topic brings the same source once more, and a new one: the first is not counted by both.
    pipeline.ingest(sample, second)
    pipeline.stream()
    assert pipeline.verified().digest == expected.verified().digest
    with pytest.raises(StreamError, match="came from files"):
        pipeline.replay()
    pipeline.replay(sample)
    assert pipeline.documents.location.name == "g2"
    assert pipeline.verified().digest == expected.verified().digest


def test_a_running_stream_carries_on_with_the_new_generation(
    make_pipeline: Make, sample: Path, second: Path, tmp_path: Path
) -> None:
    pipeline = make_pipeline(profile="p21", stream__trigger_ms=100)
    pipeline.ingest(sample)
    stream = pipeline.make_stream()
    running = threading.Thread(target=stream.run)
    running.start()
    try:
        pipeline.wait_for_records(301)
        pipeline.profile = "english"  # other rules, applied to the past
        result = pipeline.replay(switch_over=False)
        pipeline.ingest(second)  # comes in while both are there
        switch(pipeline.settings, pipeline.redis, result.generation)
        third = write_sample(tmp_path / "third.warc.wet.gz", records=100, seed=3).path
        pipeline.ingest(third)
        pipeline.wait_for_records(301 + 201 + 101)
    finally:
        stream.stop()
        running.join()
    assert pipeline.live.stats()["profile"] == "english"
    expected = make_pipeline(profile="english", pipeline=pipeline.settings.pipeline + "-expected")
    expected.ingest(sample, second, third)
    expected.stream()
    assert pipeline.verified().digest == expected.verified().digest


def test_unreadable_sources_prevent_the_switch_after_a_replay(
    make_pipeline: Make, sample: Path, tmp_path: Path
) -> None:
    pipeline = make_pipeline()
    page = tmp_path / "page.warc.wet.gz"
    page.write_bytes(b"<html>not found</html>")
    result = pipeline.replay(sample, page, switch_over=False)
    assert not result.complete and "page.warc.wet.gz" in next(iter(result.unreadable.values()))
    page.write_bytes(write_sample(tmp_path / "good.wet.gz", records=50, seed=9).path.read_bytes())
    again = pipeline.replay(sample, page)
    assert again.resumed and again.generation == result.generation and again.records == 301 + 51
    pipeline.verified()
