"""Web servers as they are: labels, sizes, ranges and tags that mislead, redirects, and one pace for all processes."""

from __future__ import annotations

import multiprocessing
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conf.settings import ProducerSettings, load_settings
from producers.sources import remote, retry
from producers.sources.discover import discover
from producers.sources.opening import open_location, open_source
from producers.sources.pace import Pace, shared_pace_memory, use_shared_pace
from producers.sources.source import Source
from tests.producers.http_server import Server, serve
from tests.producers.wet_forms import put

DATA = random.Random(3).randbytes(700_000)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    put(tmp_path, "it.wet.gz", DATA)
    with serve(tmp_path) as server:
        yield server


@pytest.fixture(autouse=True)
def small_and_impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_WAIT_S", 0.02)
    monkeypatch.setattr(remote, "FIRST_BYTES", 1 << 16)
    monkeypatch.setattr(remote, "BLOCK_BYTES", 1 << 17)


def options(**flags: object) -> ProducerSettings:
    defaults = {"producer.source_timeout_s": 2, "producer.source_retry_s": 5}
    return load_settings(flags=defaults | flags, environ={}).producer


def read_all(server: Server, **flags: object) -> bytes:
    with open_location(f"{server.url}/it.wet.gz", options(**flags)) as file:
        assert file.seek(0, 2) == len(DATA)
        file.seek(0)
        return b"".join(iter(lambda: file.read(50_000), b""))


@pytest.mark.parametrize("ranges", [True, False, "ignored"])
@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "br", "identity"])
def test_content_encoding_gzip_on_a_stored_gz_file_is_ignored(
    encoding: str, ranges: bool | str, server: Server
) -> None:
    server.headers = {"Content-Encoding": encoding}
    server.ranges = ranges
    assert read_all(server) == DATA


def test_wrong_range_responses(server: Server) -> None:
    server.faults = iter(["", "other", "", "whole", "other", "reset"])
    assert read_all(server) == DATA
    # After a whole answer all the rest is read from it.
    assert server.seen == {"other": 1, "whole": 1}
    assert sum(end - begin for begin, end in server.requested) < 2.5 * len(DATA)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"ETag": '"a"'}, {"ETag": '"b"'}),
        ({"ETag": 'W/"a"'}, {"ETag": 'W/"b"'}),
        ({"Last-Modified": "Wed, 25 Nov 2026 00:00:00 GMT"}, {"Last-Modified": "Wed, 25 Nov 2026 00:00:01 GMT"}),
    ],
)
def test_file_changed_during_reading_is_never_mixed(
    before: dict[str, str], after: dict[str, str], server: Server, tmp_path: Path
) -> None:
    server.headers = before
    with open_location(f"{server.url}/it.wet.gz", options()) as file:
        file.read(200_000)
        # At once: blocks are read ahead, and half a new file would be another fault.
        server.headers = after
        put(tmp_path, "new", bytes(reversed(DATA))).replace(tmp_path / "it.wet.gz")
        with pytest.raises(OSError, match="it has changed while it was read"):
            while file.read(50_000):
                pass


def test_changed_strong_etag_is_another_file_even_with_an_equal_beginning(server: Server) -> None:
    server.headers = {"ETag": '"a"'}
    with open_location(f"{server.url}/it.wet.gz", options()) as file:
        file.read(200_000)
        server.headers = {"ETag": '"b"'}
        with pytest.raises(OSError, match="another ETag or time of change"):
            file.read(len(DATA))


def test_weak_tags_of_several_servers_are_one_file(server: Server) -> None:
    server.headers = {"ETag": 'W/"a"'}
    with open_location(f"{server.url}/it.wet.gz", options()) as file:
        first = file.read(200_000)
        server.headers = {"ETag": 'W/"b"'}
        assert first + file.read(len(DATA)) == DATA


def test_retry_after_is_honoured(server: Server) -> None:
    server.faults = iter(["", "503 1"])
    assert read_all(server) == DATA
    assert server.asked[2][0] - server.asked[1][0] >= 1
    server.faults = iter(["429 3600"])
    with pytest.raises(OSError, match="its size: the server answers 429"):
        read_all(server)


def test_a_listing_may_not_lead_elsewhere_by_a_redirect(server: Server, tmp_path: Path) -> None:
    with serve(tmp_path) as other:
        server.redirects = {"/moved.wet.gz": f"{other.url}/it.wet.gz", "/here.wet.gz": "/it.wet.gz"}
        put(tmp_path, "wet.paths", b"here.wet.gz\nmoved.wet.gz\n")
        here, moved = discover([f"{server.url}/wet.paths"], settings=options())
        with open_source(here, options()) as file:
            assert file.read(10) == DATA[:10]
        with pytest.raises(OSError, match=f"redirects to {other.url}/it.wet.gz: a remote listing may only"):
            open_source(moved, options())
        assert not other.asked
        with open_source(moved, options(**{"producer.allow_foreign_sources": True})) as file:
            assert file.read(10) == DATA[:10]
        # What the user names himself may be anywhere.
        with open_source(Source("x", moved.location), options()) as file:
            assert file.read(10) == DATA[:10]
        server.redirects = {"/round.wet.gz": "/round.wet.gz"}
        with pytest.raises(OSError, match="redirects more than 10 times"):
            open_location(f"{server.url}/round.wet.gz", options())


def test_passwords_are_used_and_never_shown(server: Server) -> None:
    url = server.url.replace("http://", "http://me:secret@")
    with open_location(f"{url}/it.wet.gz?token=secret", options()) as file:
        assert file.read(10) == DATA[:10]
    with pytest.raises(OSError, match="404") as error:
        open_location(f"{url}/gone.wet.gz?token=secret", options())
    assert "secret" not in str(error.value)


def ask(memory: Any, url: str, until: float) -> None:
    use_shared_pace(memory)
    while time.monotonic() < until:
        with open_location(f"{url}/it.wet.gz", options()) as file:
            file.read(len(DATA))


def test_all_processes_share_one_pace_per_server(server: Server) -> None:
    context = multiprocessing.get_context("forkserver")
    memory = shared_pace_memory(context)
    processes = [context.Process(target=ask, args=(memory, server.url, time.monotonic() + 8)) for _ in range(3)]
    for process in processes:
        process.start()
    while len(server.asked) < 6:
        time.sleep(0.01)
    server.faults = iter(["429 2"])
    while not server.seen["429"]:
        time.sleep(0.01)
    refused_at = time.monotonic()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    # (Requests that were under way at that moment are no matter of pace.)
    early = [at for at, _ in server.asked if refused_at + 0.3 < at < refused_at + 1.8]
    assert early == []
    assert any(at > refused_at + 1.8 for at, _ in server.asked)


def test_polling_interval_adapts_and_stop_is_honoured() -> None:
    slots = [0.0] * 512
    pace, stop = Pace(slots, threading.Lock()), threading.Event()
    pace.wait("a", stop)
    pace.slow_down("a", 0.0)
    pace.slow_down("a", 0.0)
    assert max(slots[1::2]) == pytest.approx(0.1)
    for _ in range(20):
        pace.succeeded("a")
    assert max(slots[1::2]) == 0
    pace.slow_down("a", 3600)
    threading.Timer(0.2, stop.set).start()
    pace.wait("a", stop)
