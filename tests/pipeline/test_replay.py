"""A replay from the topic, from files or from the documents equals the stream, which runs on meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from conf.profiles import load_profile
from producers.sample.writer import write_sample
from producers.sources.discover import discover
from sinks.documents.generations import Generations
from sinks.documents.table import Documents
from streaming.connections import Connections
from streaming.errors import StreamError
from streaming.replay import Replay, ReplayResult
from streaming.switch import switch
from tests.harness import Pipeline
from tests.producers.http_server import serve

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


def test_a_stop_does_not_wait_for_the_part_being_read(
    make_pipeline: Make, sample: Path, second: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read before is kept, and the same replay goes on with the rest."""
    monkeypatch.setattr("streaming.tasks.files.TASK_BYTES", 1)  # each file is a part
    pipeline = make_pipeline(producer__source_retry_s=200, producer__source_timeout_s=200)
    connections = Connections(pipeline.bootstrap_servers, pipeline.redis, pipeline.spark)
    with serve(second.parent) as server:
        server.silent_from = 0
        sources = list(discover([str(sample), f"{server.url}/{second.name}"]))
        replay = Replay(pipeline.settings, load_profile(pipeline.profile), connections, sources)
        results: list[ReplayResult] = []
        running = threading.Thread(target=lambda: results.append(replay.run()))
        running.start()
        while not (server.seen["stall"] and pipeline_rows(pipeline) == 301) and running.is_alive():
            time.sleep(0.1)
        replay.stop()
        running.join(60)
        assert not running.is_alive(), "it waits for the file"
        # The file counts as not read yet, not as unreadable.
        assert (results[0].records, results[0].unreadable) == (301, {})
        server.silent_from = None
        again = Replay(pipeline.settings, load_profile(pipeline.profile), connections, sources).run()
        expected = make_pipeline(pipeline=pipeline.settings.pipeline + "-expected")
        result = Replay(expected.settings, load_profile(expected.profile), connections, sources).run()
    assert again.resumed and again.complete and again.records == 301 + 201
    switch(pipeline.settings, pipeline.redis, again.generation)
    switch(expected.settings, expected.redis, result.generation)
    assert pipeline.verified().digest == expected.verified().digest


def pipeline_rows(pipeline: Pipeline) -> int:
    """Records in the newest generation."""
    found = Generations.of(pipeline.settings)
    return Documents.open(found.location_of(found.names()[-1])).row_count() if found.names() else 0


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
