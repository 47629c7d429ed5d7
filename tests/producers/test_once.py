"""Every record exactly once in the topic, in order: killed at the worst places, run twice, run twice at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from kafka import KafkaProducer

from conf.addresses import BootstrapServers
from conf.settings import Settings
from producers.ingest import Ingester
from producers.report import SourceProgress
from producers.sample.writer import write_sample
from producers.sources.identity import source_id
from producers.topic.markers import MarkerReader
from producers.topic.message import partition_of
from producers.topic.topics import ensure_topics
from producers.workers import ingest_all
from tests.producers.ingest_process import start
from tests.producers.topic import assert_whole, expected_raws, here, ingest, ingest_several, markers, read_topic
from tests.producers.wet_forms import FORMS, put, wet_file

MakeSettings = Callable[..., Settings]
SMALL = {"producer__transaction_ms": 50, "producer__transaction_bytes": 1 << 20}


@pytest.fixture(scope="session")
def long_sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """About 8 MB of text: some ten small transactions."""
    return write_sample(tmp_path_factory.mktemp("long") / "long.warc.wet.gz", raw_bytes=8_000_000, seed=3).path


def test_a_file_is_in_the_topic_record_by_record(make_settings: MakeSettings, sample: Path) -> None:
    settings = make_settings(**SMALL)
    outcome = ingest(settings, sample)
    assert (outcome.state, outcome.finished, outcome.records) == ("done", True, len(expected_raws(sample)))
    assert_whole(settings, sample)


def test_every_form_is_in_the_topic_record_by_record(make_settings: MakeSettings, tmp_path: Path) -> None:
    settings = make_settings()
    paths = [put(tmp_path, f"{form}.warc.wet.gz", wet_file(form, seed=seed).data) for seed, form in enumerate(FORMS)]
    assert [outcome.state for outcome in ingest_several(settings, paths)] == ["done"] * len(FORMS)
    assert_whole(settings, *paths)


@pytest.mark.parametrize(
    "crash_at",
    [
        "producer-in-transaction:1",
        "producer-in-transaction:4",
        "producer-between-transactions:3",
    ],
)
def test_killed_in_or_between_transactions_and_run_again(
    crash_at: str, make_settings: MakeSettings, long_sample: Path
) -> None:
    settings = make_settings(**SMALL)
    process = start(settings, long_sample, crash_at=crash_at)
    assert process.wait(60) == -signal.SIGKILL
    before = markers(settings).get(source_id(long_sample))
    assert before is None or before.state == "ingesting"
    outcome = ingest(settings, long_sample)
    assert outcome.state == "done"
    assert outcome.records == len(expected_raws(long_sample)) - (before.records if before else 0)
    assert_whole(settings, long_sample)


def test_killed_inside_a_member_of_many_records(make_settings: MakeSettings, long_sample: Path, tmp_path: Path) -> None:
    import gzip

    path = put(tmp_path, "one-member.wet.gz", gzip.compress(gzip.decompress(long_sample.read_bytes()), 1))
    settings = make_settings(**SMALL)
    assert start(settings, path, crash_at="producer-in-transaction:5").wait(60) == -signal.SIGKILL
    assert markers(settings)[source_id(path)].place.inner > 0
    assert ingest(settings, path).state == "done"
    assert_whole(settings, path)


def test_second_run_recognises_ingested_sources_even_by_another_path(
    make_settings: MakeSettings, sample: Path, tmp_path: Path
) -> None:
    settings = make_settings()
    ingest(settings, sample)
    link = tmp_path / "link.warc.wet.gz"
    link.symlink_to(sample)
    again = ingest(settings, link)
    assert (again.state, again.finished, again.records) == ("already", True, 0)
    assert "already ingested (301 records): nothing to do" in again.message
    assert_whole(settings, sample)


def test_a_copy_is_skipped_with_a_hint_unless_allowed(
    make_settings: MakeSettings, sample: Path, tmp_path: Path
) -> None:
    settings = make_settings()
    ingest(settings, sample)
    copy = put(tmp_path, "copy.warc.wet.gz", sample.read_bytes())
    refused = ingest(settings, copy)
    assert refused.state == "copy"
    assert source_id(sample) in refused.message
    assert "--allow-copies" in refused.message
    assert source_id(copy) not in read_topic(settings)
    assert ingest(settings, copy, allow_copies=True).state == "done"
    assert_whole(settings, copy)


def test_other_content_under_the_same_name_is_refused(make_settings: MakeSettings, tmp_path: Path) -> None:
    settings = make_settings()
    path = put(tmp_path, "it.wet.gz", wet_file("gzip", seed=1).data)
    ingest(settings, path)
    put(tmp_path, "it.wet.gz", wet_file("gzip", seed=2).data)
    refused = ingest(settings, path)
    assert (refused.state, refused.finished) == ("changed", False)
    assert "wetstream remove" in refused.message
    assert len(read_topic(settings)[source_id(path)].values) == 12


@pytest.mark.parametrize("form", ["gzip", "single"])
def test_truncated_file_is_resumed_once_it_has_grown(form: str, make_settings: MakeSettings, tmp_path: Path) -> None:
    file = wet_file(form)
    settings = make_settings()
    for end in (len(file.data) // 4, len(file.data) // 2, len(file.data) - 3):
        path = put(tmp_path, "it.wet.gz", file.data[:end])
        cut = ingest(settings, path)
        assert (cut.state, cut.finished) == ("truncated", False)
        assert "it is carried on from there" in cut.message
        messages = read_topic(settings)[source_id(path)]
        assert messages.raws == file.records[: len(messages.raws)]
        assert messages.records == len(messages.raws) + 1
        again = ingest(settings, path)
        assert (again.state, again.records) == ("truncated", 0)
    put(tmp_path, "it.wet.gz", file.data)
    assert ingest(settings, path).state == "done"
    messages = read_topic(settings)[source_id(path)]
    assert messages.raws == file.records
    assert messages.records == len(file.records)
    assert len(messages.stubs) == 6
    marker = markers(settings)[source_id(path)]
    assert (marker.state, marker.records, marker.stubs, marker.cut) == ("done", len(file.records), 0, None)
    assert marker.raw_bytes == sum(map(len, file.records))


def test_damage_is_in_the_topic_as_a_stub_and_in_the_outcome(make_settings: MakeSettings, tmp_path: Path) -> None:
    file = wet_file("gzip")
    begin, end = file.extents[4]
    data = bytearray(file.data)
    data[begin + 20 : begin + 30] = bytes(10)
    path = put(tmp_path, "it.wet.gz", bytes(data))
    settings = make_settings()
    outcome = ingest(settings, path)
    assert (outcome.state, outcome.finished) == ("damaged", True)
    assert len(outcome.damage) == 1
    assert f"byte offset {begin:,}: damaged:" in outcome.damage[0]
    messages = read_topic(settings)[source_id(path)]
    assert messages.raws == file.records[:4] + file.records[5:]
    (stub,) = messages.stubs
    assert f"Wetstream-Reason: damaged\r\nWetstream-Length: {end - begin}\r\n".encode() in stub
    assert messages.keys[4] == f"{begin}-{end}"
    assert markers(settings)[source_id(path)].damaged == 1


def test_file_that_is_not_wet_leaves_no_trace(make_settings: MakeSettings, tmp_path: Path) -> None:
    settings = make_settings()
    outcome = ingest(settings, put(tmp_path, "it.wet.gz", b"<html>"))
    assert (outcome.state, outcome.finished) == ("not_wet", False)
    gone = ingest(settings, tmp_path / "gone.wet.gz")
    assert gone.state == "failed"
    assert "gone.wet.gz cannot be read: No such file or directory" in gone.message
    assert markers(settings) == {}


def test_a_second_producer_of_a_source_fences_the_first(make_settings: MakeSettings, long_sample: Path) -> None:
    settings = make_settings(**SMALL)
    under_way, go_on = threading.Event(), threading.Event()

    def wait(event: object) -> None:
        if isinstance(event, SourceProgress) and event.records > 100:
            under_way.set()
            go_on.wait(30)

    outcomes = []
    first = threading.Thread(target=lambda: outcomes.append(ingest(settings, long_sample, on_event=wait)))
    first.start()
    assert under_way.wait(30)
    second = ingest(settings, long_sample)
    go_on.set()
    first.join(30)
    assert second.state == "done"
    assert [outcome.state for outcome in outcomes] == ["fenced"]
    assert "another producer took this source over (host:process " in outcomes[0].message
    assert second.records + outcomes[0].records == len(expected_raws(long_sample))
    assert_whole(settings, long_sample)


def test_open_transaction_of_a_dead_producer_is_aborted_before_its_marker_is_read(
    make_settings: MakeSettings, sample: Path
) -> None:
    settings = make_settings()
    servers = settings.bootstrap_servers
    topics = ensure_topics(settings, servers)
    records, progress = topics.records, topics.progress
    source = here(sample)
    dead = KafkaProducer(**servers.client_options(), transactional_id=f"{records.name}/{source.id}", acks="all")
    dead.init_transactions()
    dead.begin_transaction()
    lie = b'{"state":"done"}'
    dead.send(records.name, key=b"x@1", value=b"x", partition=partition_of(source.id, records.partitions))
    dead.send(progress.name, key=source.id.encode(), value=lie, partition=partition_of(source.id, progress.partitions))
    dead.flush()
    # Its reader waits for the open transaction instead of taking the markers before it for the last ones.
    reader = MarkerReader(progress, servers, request_timeout_ms=30_000, wait_s=1)
    with pytest.raises(Exception, match="a transaction stays open"):
        reader.read_to_high_watermark()
    reader.close()
    assert ingest(settings, sample).state == "done"
    assert_whole(settings, sample)
    dead.close(timeout=0)


def test_two_workers_keep_each_source_in_order(make_settings: MakeSettings, tmp_path: Path) -> None:
    paths = [write_sample(tmp_path / f"{seed}.wet.gz", records=400, seed=seed).path for seed in range(4)]
    settings = make_settings(**SMALL, producer__workers=2)
    servers = settings.bootstrap_servers
    sources = [here(path) for path in paths]
    events, niceness = [], set()
    for event in ingest_all(settings, servers, ensure_topics(settings, servers), sources):
        events.append(event)
        # The fork server runs at the priority of this process, its workers stand back as a stream does.
        niceness |= {process.nice() for process in psutil.Process().children(recursive=True)}
    assert sorted(event.source for event in events if hasattr(event, "state")) == sorted(one.id for one in sources)
    assert_whole(settings, *paths)
    assert 0 < settings.stream.niceness == settings.producer.niceness == max(niceness)


def test_stopped_at_a_transaction_and_resumed(make_settings: MakeSettings, long_sample: Path) -> None:
    settings = make_settings(**SMALL)
    seen: list[SourceProgress] = []
    stopped = ingest(settings, long_sample, on_event=seen.append, should_stop=lambda: len(seen) >= 3)
    assert (stopped.state, stopped.finished) == ("stopped", False)
    assert 0 < stopped.records == markers(settings)[source_id(long_sample)].records
    assert ingest(settings, long_sample).state == "done"
    assert_whole(settings, long_sample)


def test_ingester_names_the_broker_that_does_not_answer(make_settings: MakeSettings, sample: Path) -> None:
    settings = make_settings(producer__retry_s=1)
    topics = ensure_topics(settings, settings.bootstrap_servers)
    ingester = Ingester(settings, BootstrapServers("127.0.0.1:1"), topics)
    outcome = ingester.ingest(here(sample))
    ingester.close()
    assert outcome.state == "failed"
    assert "Kafka at 127.0.0.1:1 did not take its records" in outcome.message
