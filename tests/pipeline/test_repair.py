"""Records that are in the topic twice, missing or forged: found by `verify`, mended exactly by `repair`."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable
from kafka import KafkaProducer

from conf.settings import Settings
from producers.sample.writer import write_sample
from producers.source_producer import SourceProducer, open_producer
from producers.sources.files import fingerprint
from producers.sources.identity import source_id
from producers.sources.listing_paths import local_path
from producers.sources.opening import open_location
from producers.topic.markers import Marker, SourceState
from producers.topic.message import message_key, message_value, partition_of, retraction_key, stub_value
from producers.topic.topics import Topics, ensure_topics
from producers.wet.items import Record, Stub
from producers.wet.members import Place
from producers.wet.records import read_records
from serving.verify.verify import Verification, verify
from tests.harness import Command, Pipeline
from wetstream.pipeline.reader import PipelineReader
from wetstream.pipeline.repair import RepairResult, repair, source_ends
from wetstream.pipeline.serve import WatchedSources

Make = Callable[..., Pipeline]
FORGED = b"".join(
    (
        b"WARC/1.0\r\nWARC-Type: x-wetstream-stub\r\nWetstream-Reason: truncated\r\nWetstream-Records: -1\r\n",
        b"Wetstream-Length: 4611686018427387904\r\nContent-Length: 0\r\n\r\n",
    )
)


@pytest.fixture
def second(tmp_path: Path) -> Path:
    return write_sample(tmp_path / "second.warc.wet.gz", records=200, seed=2).path


@pytest.fixture
def right(make_pipeline: Make, sample: Path, second: Path) -> str:
    """The digest of both files, of an undisturbed run."""
    pipeline = make_pipeline(pipeline=f"right-{second.parent.name}")
    pipeline.ingest(sample, second)
    pipeline.stream()
    return pipeline.verified().digest


def send(settings: Settings, messages: Collection[tuple[int, bytes | None, bytes | None]], topic: str = "") -> None:
    """Write partition, key and value of messages by hand, without a transaction."""
    producer = KafkaProducer(**settings.bootstrap_servers.client_options(), max_request_size=1 << 25)
    for partition, key, value in messages:
        producer.send(topic or settings.records_topic, key=key, value=value, partition=partition).get(timeout=60)
    producer.close()


def messages_of(settings: Settings, path: Path) -> list[tuple[int, bytes, bytes]]:
    """The messages that a file becomes."""
    source, topics = source_id(path), topics_of(settings)
    partition = partition_of(source, topics.records.partitions)
    return [(partition, message_key(source, item), message_value(item)) for item in read_records(path)]


def topics_of(settings: Settings) -> Topics:
    return ensure_topics(settings, settings.bootstrap_servers)


def ingest_with_losses(settings: Settings, path: Path, lost: Collection[int]) -> None:
    """Ingest a file of whose items some never arrive, although their transaction commits."""
    source, topics = source_id(path), topics_of(settings)
    producer = open_producer(settings, settings.bootstrap_servers, topics.records, source)
    producer.init_transactions()
    with open_location(str(path), settings.producer) as file:
        marker = Marker.first(source, path.as_uri(), partition_of(source, topics.records.partitions), fingerprint(file))
    items = list(read_records(path))
    lost_keys = {message_key(source, items[i]) for i in lost}
    deliver = producer.send

    def lose(topic: str, *, key: bytes, **more: Any) -> Any:
        return None if key in lost_keys else deliver(topic, key=key, **more)

    producer.send = lose
    sender = SourceProducer(producer, topics, marker)
    for item in items:
        sender.add(item)
    sender.commit(state=SourceState.DONE)
    producer.close()


def checked(pipeline: Pipeline) -> Verification:
    """The verification with all that the command knows."""
    ends = source_ends(pipeline.settings, lambda: pipeline.documents)
    return verify(pipeline.redis, pipeline.settings.pipeline, pipeline.documents, ends)


def repaired(pipeline: Pipeline, **more: Any) -> RepairResult:
    settings = pipeline.settings
    return repair(settings, settings.bootstrap_servers, pipeline.redis, pipeline.stream, **more)


def states(pipeline: Pipeline) -> dict[str, str]:
    with PipelineReader(settings=pipeline.settings) as reader:
        return {row["source"]: row["state"] for row in reader.sources()}


def test_duplicate_and_missing_records_are_found_and_repaired_exactly(
    make_pipeline: Make, sample: Path, second: Path, right: str
) -> None:
    pipeline = make_pipeline()
    settings = pipeline.settings
    one, two = source_id(sample), source_id(second)
    pipeline.ingest(sample)
    messages = messages_of(settings, sample)
    send(settings, [*messages[10:15], messages[40], messages[10]])
    ingest_with_losses(settings, second, [0, 1, *range(50, 60), 199, 200])
    pipeline.stream()
    found = checked(pipeline)
    assert found.faulty_sources == sorted([one, two])
    assert any(
        f"source {one}: the record at " in line and line.endswith("is counted 3 times") for line in found.differences
    )
    assert any(f"source {two}: records are missing from 0 to " in line for line in found.differences)
    assert any(f"source {two}: records are missing" in line and "to its end at" in line for line in found.differences)
    assert states(pipeline) == {one: "faulty", two: "faulty"}
    watched = WatchedSources(settings)  # as `serve` does
    watched._step()
    counts = pipeline.live.sources()
    rows = watched.ledger(counts["sources"], counts["as_of"]["positions"])
    assert [row["state"] for row in rows] == ["faulty", "faulty"]
    watched._close()
    done = repaired(pipeline)
    assert (done.removed, done.ingested, done.unrepaired) == ({one: 7}, {two: 14}, {})
    assert checked(pipeline).ok and pipeline.verified().digest == right
    assert states(pipeline) == {one: "done", two: "done"}
    # A replay reads the topic, where both copies are, and leaves out what the repair has removed.
    pipeline.replay()
    assert pipeline.verified().digest == right and pipeline.documents.location.name == "g2"
    assert repaired(pipeline) == RepairResult()
    assert pipeline.ingest(second)[0].state == "already"


def test_sources_that_came_from_files_are_refused_with_a_remedy_that_works(
    make_pipeline: Make, sample: Path, second: Path
) -> None:
    pipeline = make_pipeline()
    pipeline.ingest(second)
    pipeline.replay(sample)
    before = pipeline.verified().digest
    DeltaTable(str(pipeline.documents.location)).delete(
        f"source = '{source_id(sample)}' and record_offset between 9000 and 20000"
    )
    done = repaired(pipeline)
    assert (done.removed, done.ingested, list(done.unrepaired)) == ({}, {}, [source_id(sample)])
    remedy = done.unrepaired[source_id(sample)]
    assert f"`wetstream replay --from files {source_id(sample)}`" in remedy
    pipeline.replay(Path(local_path(source_id(sample))))
    assert checked(pipeline).ok and pipeline.verified().digest == before


def test_documents_of_a_newer_version_are_made_again_as_the_message_says(make_pipeline: Make, sample: Path) -> None:
    pipeline = make_pipeline()
    pipeline.ingest(sample)
    pipeline.stream()
    before, path = pipeline.verified().digest, Path(str(pipeline.documents.location))
    DeltaTable(str(path)).alter.set_table_properties({"wetstream.schema_version": "99"}, raise_if_not_exists=False)
    with pytest.raises(Exception, match=f"schema version 99; .* move {path.parent} away .*`wetstream stream`"):
        pipeline.stream()
    path.parent.rename(path.parent.with_name("away"))
    with pytest.raises(Exception, match=r"redis\.replace_statistics=(\w+)") as refused:
        pipeline.stream()
    found = re.search(r"redis\.replace_statistics=(\w+)", str(refused.value))
    assert found is not None
    again = make_pipeline(redis__replace_statistics=found[1])
    again.stream()
    assert again.verified().digest == before


SOME_POINTS = ["before-removal-delete", "repair-in-transaction:2"]  # the first transaction only holds the source
MORE_POINTS = ["after-removal-plan", "before-removal-counts", "repair-in-transaction", "repair-before-refill"]


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "points",
    [pytest.param(SOME_POINTS, marks=pytest.mark.slow), pytest.param(MORE_POINTS, marks=pytest.mark.slow)],
    ids=["some", "more"],
)
def test_killed_while_repairing_and_run_again(
    points: list[str], wetstream: Command, make_pipeline: Make, sample: Path, second: Path, right: str
) -> None:
    pipeline = make_pipeline()
    settings = pipeline.settings
    pipeline.ingest(sample)
    ingest_with_losses(settings, second, range(20, 40))
    pipeline.stream()
    for point in points:
        if "removal" in point:
            send(settings, messages_of(settings, sample)[5:9])
        killed = wetstream("repair", code=None, WETSTREAM_CRASH_AT=point)
        assert killed.returncode == -signal.SIGKILL, f"{point} was not reached: {killed.stderr}"
    assert repaired(pipeline).ingested == {source_id(second): 20}
    assert checked(pipeline).ok and pipeline.verified().digest == right


def test_source_without_its_file_is_repaired_from_its_rows(make_pipeline: Make, tmp_path: Path, sample: Path) -> None:
    doubled = write_sample(tmp_path / "doubled.warc.wet.gz", records=30, seed=3).path
    lacking = write_sample(tmp_path / "lacking.warc.wet.gz", records=30, seed=4).path
    pipeline = make_pipeline()
    settings = pipeline.settings
    pipeline.ingest(doubled)
    send(settings, messages_of(settings, doubled)[3:5])
    ingest_with_losses(settings, lacking, [7])
    pipeline.stream()
    ids = source_id(doubled), source_id(lacking)
    elsewhere = tmp_path / "elsewhere.warc.wet.gz"
    doubled.rename(tmp_path / "gone")
    lacking.rename(elsewhere)
    done = repaired(pipeline)
    assert done.removed == {ids[0]: 2}
    assert list(done.unrepaired) == [ids[1]] and "`wetstream repair FILE`" in done.unrepaired[ids[1]]
    assert checked(pipeline).faulty_sources == [ids[1]]


def test_hostile_messages_become_malformed_rows_and_totals_balance(
    make_pipeline: Make, tmp_path: Path, sample: Path
) -> None:
    import gzip

    pipeline = make_pipeline()
    settings = pipeline.settings
    forged = tmp_path / "forged.warc.wet.gz"
    forged.write_bytes(b"".join(gzip.compress(FORGED + b"\r\n\r\n") for _ in range(7)))
    assert [outcome.records for outcome in pipeline.ingest(sample, forged)] == [301, 7]
    stub = Stub(Place(0, 0), Place(0, 0), 1 << 39, "truncated", "", b"")
    huge = stub_value(stub).replace(str(1 << 39).encode(), b"9" * 30)
    send(
        settings,
        [
            (0, b"tombstone", None),
            (0, None, FORGED),
            (1, b"\xff\xfe", b"\x00" * 1000),
            (1, f"{source_id(sample)}@0".encode(), FORGED),
            (2, b"retraction s@9-8", stub_value(stub)),
            (2, b"stub s@99999999999999999999-1", huge),
            (3, b"record s@1-2 ", b"WARC/1.0\r\n" * 1000),
            (3, b"record " + b"x" * 40_000 + b"@0-1", b""),
        ],
    )
    send(
        settings,
        [(0, b"x", b"{}"), (1, b"\xff", b"["), (2, b"s", None), (3, b"s", b'{"contract":2,"records":1e999}')],
        settings.progress_topic,
    )
    pipeline.stream()
    found = checked(pipeline)
    assert found.ok, found.differences
    counted = {row["source"]: row for row in pipeline.live.sources()["sources"]}
    assert counted["unknown"]["rejected"] == {"malformed": 8}
    assert counted[source_id(forged)]["rejected"] == {"not_conversion": 7}
    assert pipeline.live.stats()["records"] == 301 + 7 + 8
    assert [outcome.state for outcome in pipeline.ingest(sample)] == ["already"]


def test_source_never_ingested_is_dropped_on_request(make_pipeline: Make, sample: Path) -> None:
    pipeline = make_pipeline()
    pipeline.ingest(sample)
    pipeline.stream()
    before = pipeline.verified().digest
    stub = Stub(Place(5, 0), Place(5, 0), 9, "truncated", "", b"")
    page = Record(Place(0, 0), Place(5, 0), b"WARC/1.0\r\nWARC-Type: conversion\r\n\r\nto be", 0)
    send(
        pipeline.settings,
        [(0, message_key("stranger", page), page.raw), (0, retraction_key("stranger", stub), stub_value(stub))],
    )
    pipeline.stream()
    found = checked(pipeline)
    assert found.faulty_sources == ["stranger"]
    assert any("no producer has ingested it" in line for line in found.differences)
    assert "--drop" in repaired(pipeline).unrepaired["stranger"]
    assert repaired(pipeline, drop=["stranger"]).removed == {"stranger": 2}
    assert checked(pipeline).ok and pipeline.verified().digest == before


def test_a_topic_of_another_contract_is_refused_by_name(make_pipeline: Make, sample: Path) -> None:
    pipeline = make_pipeline()
    settings = pipeline.settings
    topics = topics_of(settings)
    old = b'{"v":1,"source":"s","uri":"file:///s","state":"done","place":[9,0],"fingerprint":{"size":9}}'
    send(settings, [(0, b"s", old)], topics.progress.name)
    send(settings, [(0, b"s@0", b"WARC/1.0\r\nWARC-Type: conversion\r\n\r\nto be")])
    (outcome,) = pipeline.ingest(sample)
    assert outcome.state == "failed" and "topic contract 1" in outcome.message and "--pipeline" in outcome.message
    with pytest.raises(Exception, match="was written by an older wetstream"):
        pipeline.stream()
    assert pipeline.documents.is_empty
