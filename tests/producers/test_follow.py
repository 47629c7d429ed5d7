"""The continuous mode: new files are taken as they rest, growing ones carried on, until stopped."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from conf.settings import Settings
from producers.removal import mark_removed, mark_removing
from producers.report import Outcome
from producers.sources.discover import DiscoverOptions
from producers.sources.follow import Follower
from producers.sources.identity import source_id
from producers.topic.topics import ensure_topics
from producers.workers import ingest_all
from tests.producers.topic import assert_whole, read_topic
from tests.producers.wet_forms import put, wet_file
from wetstream import IngestOptions, Pipeline

MakeSettings = Callable[..., Settings]


class Following:
    """Ingestion that follows in a thread; outcomes as they come."""

    def __init__(self, settings: Settings, *names: Path) -> None:
        self.outcomes: list[Outcome] = []
        self._stop = threading.Event()
        servers = settings.bootstrap_servers
        topics = ensure_topics(settings, servers)
        follower = Follower([str(name) for name in names], DiscoverOptions(), settings.producer)

        def work() -> None:
            for event in ingest_all(settings, servers, topics, [], stop=self._stop, follower=follower):
                if isinstance(event, Outcome):
                    self.outcomes.append(event)

        self._thread = threading.Thread(target=work)
        self._thread.start()

    def states(self, count: int) -> list[str]:
        deadline = time.monotonic() + 30
        while len(self.outcomes) < count and time.monotonic() < deadline:
            time.sleep(0.05)
        return [outcome.state for outcome in self.outcomes]

    def end(self) -> None:
        self._stop.set()
        self._thread.join(30)
        assert not self._thread.is_alive()


@pytest.fixture
def follow(make_settings: MakeSettings) -> Iterator[tuple[Settings, Callable[..., Following]]]:
    settings = make_settings(producer__follow_poll_s=0.2, producer__follow_rest_s=1)
    started: list[Following] = []

    def start(*names: Path) -> Following:
        started.append(Following(settings, *names))
        return started[-1]

    yield settings, start
    for following in started:
        following.end()


def test_new_files_are_ingested_once_they_stop_growing(
    follow: tuple[Settings, Callable[..., Following]], tmp_path: Path
) -> None:
    settings, start = follow
    folder = tmp_path / "in"
    folder.mkdir()
    following = start(folder)
    first = put(folder, "1.warc.wet.gz", wet_file("gzip", seed=1).data)
    assert following.states(1) == ["done"]
    # A download: bytes come every now and then, none of them is taken before it is whole.
    data = wet_file("gzip", seed=2).data
    growing = folder / "2.warc.wet.gz"
    with growing.open("wb") as file:
        for at in range(0, len(data), len(data) // 8):
            file.write(data[at : at + len(data) // 8])
            file.flush()
            time.sleep(0.25)
    assert following.states(2) == ["done", "done"]
    # One that rested half-way, and goes on.
    data = wet_file("gzip", seed=3).data
    resting = put(folder, "3.warc.wet.gz", data[: len(data) // 2])
    assert following.states(3)[2:] == ["truncated"]
    resting.write_bytes(data)
    assert following.states(4)[3:] == ["done"]
    following.end()
    assert_whole(settings, first, growing)
    assert read_topic(settings)[source_id(resting)].raws == wet_file("gzip", seed=3).records
    # Started again, it knows what it has.
    again = start(folder)
    assert sorted(again.states(3)) == ["already"] * 3


def test_a_removed_file_does_not_come_back_and_a_bad_one_is_reported(
    follow: tuple[Settings, Callable[..., Following]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings, _ = follow
    folder = tmp_path / "in"
    folder.mkdir()
    kept, removed = (put(folder, f"{n}.warc.wet.gz", wet_file("gzip", seed=n).data) for n in (1, 2))
    bad = put(folder, "page.warc.wet.gz", b"<!doctype html>")
    for path in (kept, removed, bad):
        os.utime(path, (1, 1))
    pipeline = Pipeline(settings=settings)
    pipeline.ingest(kept, removed)
    topics = ensure_topics(settings, settings.bootstrap_servers)
    mark_removing(settings, settings.bootstrap_servers, topics, [source_id(removed)])
    mark_removed(settings, settings.bootstrap_servers, topics, [source_id(removed)])
    caplog.set_level("WARNING", "wetstream")
    events = pipeline.events(pipeline.ingest, folder, options=IngestOptions(follow=True))
    outcomes = (event for event in events if isinstance(event, Outcome))
    first = {outcome.source: outcome.state for outcome in (next(outcomes), next(outcomes))}
    assert first == {source_id(kept): "already", source_id(bad): "not_wet"}
    put(folder, "3.warc.wet.gz", wet_file("gzip", seed=3).data)
    assert next(outcomes).source.endswith("3.warc.wet.gz")
    events.close()
    assert "2.warc.wet.gz was removed, and is left out" in caplog.text
    assert [outcome.state for outcome in pipeline.ingest(removed)] == ["done"]


def test_growing_listing(follow: tuple[Settings, Callable[..., Following]], tmp_path: Path) -> None:
    settings, start = follow
    for number in range(2):
        path = put(tmp_path, f"{number}.warc.wet.gz", wet_file("gzip", seed=number).data)
        os.utime(path, (1, 1))
    listing = put(tmp_path, "wet.paths", b"0.warc.wet.gz\n")
    following = start(listing)
    assert following.states(1) == ["done"]
    listing.write_bytes(b"0.warc.wet.gz\n1.warc.we")  # half a line: being written
    time.sleep(0.6)
    listing.write_bytes(b"0.warc.wet.gz\n1.warc.wet.gz\n")
    assert following.states(2) == ["done", "done"]
    following.end()
    assert_whole(settings, tmp_path / "1.warc.wet.gz")
