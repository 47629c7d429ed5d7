"""Remote sources over real HTTP: servers that break off, refuse, stall, or know no ranges."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from conf.settings import ProducerSettings, Settings, load_settings
from producers.ingest import Ingester
from producers.report import Note, Outcome, SourceProgress
from producers.sample.writer import write_sample
from producers.sources import remote, retry
from producers.sources.identity import source_id
from producers.sources.listing import ListingError
from producers.sources.opening import open_location
from producers.sources.source import Source
from producers.topic.topics import ensure_topics
from tests.producers.http_server import Server, serve
from tests.producers.topic import Messages, expected_raws, markers, read_topic
from tests.producers.wet_forms import put, wet_file

MakeSettings = Callable[..., Settings]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serve(tmp_path) as server:
        yield server


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_WAIT_S", 0.02)
    monkeypatch.setattr(remote, "FIRST_BYTES", 1 << 16)
    monkeypatch.setattr(remote, "BLOCK_BYTES", 1 << 18)


def options(**flags: object) -> ProducerSettings:
    defaults = {"producer.source_timeout_s": 1, "producer.source_retry_s": 5}
    return load_settings(flags=defaults | flags, environ={}).producer


def ingest_url(settings: Settings, url: str, **given: object) -> Outcome:
    topics = ensure_topics(settings, settings.bootstrap_servers)
    ingester = Ingester(settings, settings.bootstrap_servers, topics, **given)  # type: ignore[arg-type]
    try:
        return ingester.ingest(Source(source_id(url), url))
    finally:
        ingester.close()


def messages_of(settings: Settings, url: str) -> Messages:
    return read_topic(settings)[source_id(url)]


def test_remote_reads_equal_the_local_file_whatever_the_server_does(server: Server, tmp_path: Path) -> None:
    data = random.Random(1).randbytes(800_000)
    put(tmp_path, "it.bin", data)
    chance = random.Random(2)
    for ranges in (True, False, "ignored"):
        server.ranges = ranges
        server.seen.clear()
        server.faults = iter(["", "503", "", "reset", "", "short", "less", "", "429"] * 4)
        notes: list[str] = []
        with open_location(
            f"{server.url}/it.bin", options(**{"producer.source_retry_s": 30}), on_note=notes.append
        ) as file:
            assert file.random_access is (ranges is True)
            assert any("gives no byte ranges" in note for note in notes) is (ranges is not True)
            assert file.seek(0, 2) == len(data)
            for _ in range(12 if ranges is True else 4):
                at, size = chance.randrange(len(data)), chance.choice([1, 1_000, 300_000])
                file.seek(at)
                assert file.read(size) == data[at : at + size]
            file.seek(0)
            assert b"".join(iter(lambda: file.read(100_000), b"")) == data
        assert server.seen.total() > 2


def test_a_file_is_read_in_ranges_and_never_whole(server: Server, tmp_path: Path) -> None:
    put(tmp_path, "it.bin", random.Random(1).randbytes(3_000_000))
    with open_location(f"{server.url}/it.bin", options()) as file:
        while file.read(10_000):
            pass
    assert len(server.requested) > 10
    assert max(end - begin for begin, end in server.requested) <= 1 << 18
    # Each byte once (the end, looked at for the fingerprint, twice).
    assert sum(end - begin for begin, end in server.requested) < 3_100_000


def test_a_file_that_has_shrunk_meanwhile_ends_in_an_error(server: Server, tmp_path: Path) -> None:
    put(tmp_path, "it.bin", bytes(400_000))
    with open_location(f"{server.url}/it.bin", options(**{"producer.source_retry_s": 1})) as file:
        put(tmp_path, "it.bin", bytes(50_000))
        with pytest.raises(OSError, match="it has changed from 400,000 to 50,000 bytes while it was read"):
            while file.read(65_536):
                pass


def test_silent_server_is_retried(server: Server, tmp_path: Path) -> None:
    put(tmp_path, "it.bin", bytes(range(256)) * 2_000)
    with open_location(f"{server.url}/it.bin", options()) as file:
        server.faults = iter(["stall"])
        began = time.monotonic()
        file.seek(102_400)
        assert file.read(300) == (bytes(range(256)) * 2)[:300]
        assert time.monotonic() - began < 4
        assert server.seen["stall"] == 1


def test_permanent_errors_fail_at_once_and_transient_ones_after_retry_s(server: Server, tmp_path: Path) -> None:
    put(tmp_path, "it.bin", bytes(300_000))
    with pytest.raises(OSError, match="its size: it does not exist"):
        open_location(f"{server.url}/gone.bin", options())
    server.faults = iter(["403"] * 100)
    with pytest.raises(OSError, match="the server answers 403, 3 times"):
        open_location(f"{server.url}/it.bin", options())
    server.faults = iter(["503"] * 1000)
    began = time.monotonic()
    with pytest.raises(OSError, match=r"the server answers 503, .* times in"):
        open_location(f"{server.url}/it.bin", options(**{"producer.source_retry_s": 1}))
    assert 1 < time.monotonic() - began < 5
    with pytest.raises(OSError, match="ConnectError"):
        open_location("http://127.0.0.1:9/it.bin", options(**{"producer.source_retry_s": 1}))


@pytest.mark.parametrize("ranges", [True, False])
def test_ingested_over_http_exactly_once(
    ranges: bool, server: Server, make_settings: MakeSettings, tmp_path: Path
) -> None:
    path = write_sample(tmp_path / "it.warc.wet.gz", raw_bytes=4_000_000).path
    settings = make_settings(producer__transaction_ms=50, producer__source_timeout_s=1)
    server.ranges = ranges
    server.faults = iter(["", "503", "", "reset", "short", "429", "", "reset", "short"])
    url = f"{server.url}/it.warc.wet.gz"
    events: list[SourceProgress | Note] = []
    # Stopped half-way: the next run goes on where this one stopped.
    stopped = ingest_url(settings, url, on_event=events.append, should_stop=lambda: len(events) > 1)
    assert stopped.state == "stopped"
    assert ingest_url(settings, url).state == "done"
    assert messages_of(settings, url).raws == expected_raws(path)
    assert ingest_url(settings, url).state == "already"
    put(tmp_path, "it.warc.wet.gz", wet_file("gzip").data)
    assert ingest_url(settings, url).state == "changed"


def test_waiting_source_holds_no_transaction_open_and_can_be_stopped(
    server: Server, make_settings: MakeSettings, tmp_path: Path
) -> None:
    write_sample(tmp_path / "it.warc.wet.gz", raw_bytes=6_000_000)
    settings = make_settings(producer__transaction_ms=200, producer__source_timeout_s=30)
    server.silent_from = 1_200_000
    stop = threading.Event()
    outcomes = []
    url = f"{server.url}/it.warc.wet.gz"
    work = lambda: outcomes.append(ingest_url(settings, url, should_stop=stop.is_set))  # noqa: E731
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.seen["stall"] and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1.0)
    # The next block does not come; what was read up to there is committed all the same.
    records = markers(settings)[source_id(url)].records
    assert records > 100
    stop.set()
    thread.join(5)
    assert not thread.is_alive()
    assert [(outcome.state, outcome.records) for outcome in outcomes] == [("stopped", records)]


def test_url_identities_hold_no_secrets() -> None:
    path = "crawl-data/CC-MAIN-2016-50/segments/1480698540409.8/wet/CC-MAIN-1.warc.wet.gz"
    assert source_id(f"https://data.commoncrawl.org/{path}") == path
    assert source_id(f"s3://commoncrawl/{path}") == path
    assert source_id(f"s3://bucket/{path.replace('/', '_')}") == path
    assert source_id(f"https://a.example/{path}?X-Amz-Signature=secret&X-Amz-Date=1") == path
    signed = "https://me:secret@A.example:443/x.wet.gz?id=3&X-Amz-Signature=secret&Expires=1#top"
    assert source_id(signed) == "https://a.example/x.wet.gz?id=3"
    assert "secret" not in Source(source_id(signed), signed).name + Source(source_id(signed), signed).uri
    assert source_id("http://a.example:8080/x.wet") == "http://a.example:8080/x.wet"


def test_listing_over_http(server: Server, tmp_path: Path) -> None:
    import gzip

    from producers.sources.discover import DiscoverOptions, discover

    lines = [f"crawl-data/CC-MAIN-2016-50/segments/1.1/wet/{number}.warc.wet.gz" for number in range(5)]
    listing = gzip.compress("\n".join(lines).encode())
    put(tmp_path, "crawl-data/CC-MAIN-2016-50/wet.paths.gz", listing)
    url = f"{server.url}/crawl-data/CC-MAIN-2016-50/wet.paths.gz"
    found = discover([url], settings=options())
    assert [source.location for source in found] == [f"{server.url}/{line}" for line in lines]
    assert [source.id for source in found] == lines
    # P2.1's data path: underscores for slashes.
    put(tmp_path, f"data/{lines[0].replace('/', '_')}", b"")
    mapped = discover([url], settings=options(), options=DiscoverOptions(base=f"{server.url}/data/", limit=2))
    assert [source.location for source in mapped] == [
        f"{server.url}/data/{line.replace('/', '_')}" for line in lines[:2]
    ]
    assert [source.id for source in mapped] == lines[:2]
    put(tmp_path, "wat.paths", b"crawl-data/CC-MAIN-2016-50/segments/1.1/wat/0.warc.wat.gz\n")
    with pytest.raises(ListingError, match=r"line 1: lists WAT files .* give the wet\.paths\.gz of the same crawl"):
        discover([f"{server.url}/wat.paths"], settings=options())
