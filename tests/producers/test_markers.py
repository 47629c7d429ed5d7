"""Progress markers: written and read back whole, refused when malformed, and the last one of each source found."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka import KafkaProducer

from conf.settings import Settings
from producers.fencing import wait_for_claim
from producers.sources.files import Fingerprint
from producers.topic.markers import (
    MAX_COUNT,
    ContractError,
    CutStub,
    Marker,
    MarkerReader,
    ProgressError,
    SourceState,
    check_contract,
    contract_of,
)
from producers.topic.message import partition_of
from producers.topic.topics import Topic, ensure_topics
from producers.wet.items import Stub
from producers.wet.members import Place
from tests.examples import examples

Make = Callable[..., Settings]
FIRST = Marker.first("s", "file:///s", 1, Fingerprint(9, "head", "tail"))
OLD = b'{"v":1,"source":"s","fingerprint":[9,"head","tail"]}'

counts = st.integers(0, MAX_COUNT - 1)
places = st.builds(Place, counts, counts)
stubs = st.builds(lambda place, *rest: Stub(place, place, *rest), places, counts, st.text(), st.text(), st.binary())


@examples(50)
@given(
    numbers=st.tuples(counts, counts, counts, counts),
    place=places,
    cut=st.none() | stubs,
    texts=st.tuples(st.text(), st.text(), st.text()),
    state=st.sampled_from(SourceState),
)
def test_a_marker_is_read_back_as_it_was_written(
    numbers: tuple[int, int, int, int], place: Place, cut: Stub | None, texts: tuple[str, str, str], state: SourceState
) -> None:
    source, uri, owner = texts
    records, stubs, damaged, raw_bytes = numbers
    marker = Marker.first(source, uri, 3, FIRST.fingerprint).at(
        place,
        state=state,
        records=records,
        stubs=stubs,
        damaged=damaged,
        raw_bytes=raw_bytes,
        owner=owner,
        cut=None if cut is None else CutStub.of(cut),
    )
    found = Marker.from_json(marker.to_json())
    assert found == marker
    assert None is found.cut is cut or (found.cut is not None and found.cut.stub() == cut)


def test_the_first_marker_of_a_source_covers_nothing() -> None:
    assert (FIRST.place, FIRST.state, FIRST.cut, FIRST.owner) == (Place(0, 0), "ingesting", None, "")
    assert (FIRST.records, FIRST.stubs, FIRST.damaged, FIRST.raw_bytes) == (0, 0, 0, 0)
    assert FIRST.updated == 0 < FIRST.at(FIRST.place).updated


@pytest.mark.parametrize(
    "changes",
    [
        {"contract": None},
        {"contract": 1},
        {"contract": 3},
        {"resume_at": None},
        {"resume_at": [0, MAX_COUNT]},
        {"resume_at": [MAX_COUNT, 0]},
        {"resume_at": [-1, 0]},
        {"resume_at": [0, -1]},
        {"records": -1},
        {"records": MAX_COUNT},
        {"state": "lost"},
    ],
)
def test_what_is_no_marker_of_this_contract_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"contract|validation error"):
        Marker.from_json(changed(changes))
    assert Marker.from_json(changed({})) == FIRST


def changed(changes: dict[str, Any]) -> bytes:
    """The JSON of a marker with other fields; None leaves a field out."""
    fields = {**json.loads(FIRST.to_json()), **changes}
    return json.dumps({name: value for name, value in fields.items() if value is not None or name == "cut"}).encode()


@pytest.mark.parametrize(
    ("value", "contract"),
    [
        (FIRST.to_json(), 2),
        (OLD, 1),
        (OLD.replace(b'"v":1', b'"contract":3,"v":1'), 3),
        (OLD.replace(b'"v":1', b'"v":"1"'), None),
        (OLD.replace(b"source", b"s"), None),
        (OLD.replace(b"fingerprint", b"f"), None),
        (b"[]", None),
        (b"{", None),
        (b"", None),
    ],
)
def test_the_contract_of_any_marker_is_known(value: bytes, contract: int | None) -> None:
    assert contract_of(value) == contract


def test_a_header_that_is_not_latin_1_is_kept_as_far_as_it_goes() -> None:
    stub = CutStub(Place(1, 2), 3, "truncated", "cut", "\xe9\u20ac").stub()
    assert stub == Stub(Place(1, 2), Place(1, 2), 3, "truncated", "cut", b"\xe9?")


@pytest.fixture
def progress(make_settings: Make) -> tuple[Settings, Topic]:
    settings = make_settings(kafka__partitions=4)
    return settings, ensure_topics(settings, settings.bootstrap_servers).progress


@contextmanager
def reading(settings: Settings, topic: Topic, wait_s: float = 60.0) -> Iterator[MarkerReader]:
    reader = MarkerReader(topic, settings.bootstrap_servers, request_timeout_ms=30_000, wait_s=wait_s)
    with closing(reader):
        yield reader


def send(settings: Settings, topic: Topic, *messages: tuple[int, bytes | None, bytes | None]) -> None:
    """Write messages (partition, key, value) into a topic."""
    with closing(KafkaProducer(**settings.bootstrap_servers.client_options())) as producer:
        for partition, key, value in messages:
            producer.send(topic.name, key=key, value=value, partition=partition)


def marker(source: str, records: int, updated: float = 0.0) -> bytes:
    return replace(FIRST, source=source, records=records, updated=updated).to_json()


def sources_in(partition: int, n: int) -> Sequence[str]:
    """Names of sources whose present partition is this one of four."""
    return [name for name in map(str, range(99)) if partition_of(name, 4) == partition][:n]


def test_the_marker_in_the_present_partition_is_the_last(progress: tuple[Settings, Topic]) -> None:
    """Since partitions were added, a source may have markers in several; a marker without value deletes its own."""
    settings, topic = progress
    present, moved = sources_in(0, 2)
    steps: list[tuple[str, int, int | None, float, int | None]] = [  # source, partition, records, updated, expected
        (present, 1, 1, 9.0, 1),
        (present, 0, 2, 1.0, 2),
        (present, 1, 3, 99.0, 2),
        (present, 1, None, 0.0, 2),
        (present, 0, None, 0.0, None),
        (moved, 1, 1, 5.0, 1),
        (moved, 2, 2, 4.0, 1),
        (moved, 3, 3, 6.0, 3),
        (moved, 3, 4, 1.0, 4),
        (moved, 0, 5, 0.0, 5),
    ]
    with reading(settings, topic) as reader:
        for source, partition, records, updated, expected in steps:
            value = None if records is None else marker(source, records, updated)
            send(settings, topic, (partition, source.encode(), value))
            found = reader.read_to_high_watermark().get(source)
            assert (found and found.records) == expected, (source, partition, records)


def test_what_is_no_marker_is_passed_over_and_reported(
    progress: tuple[Settings, Topic], caplog: pytest.LogCaptureFixture
) -> None:
    settings, topic = progress
    bad = [(b"", b"x"), (b"\xff", marker("\xff", 1)), (b"a", marker("b", 1)), (b"c", b"[]"), (b"gone", None)]
    send(settings, topic, *((2, key, value) for key, value in bad), (2, b"good", marker("good", 7)))
    with caplog.at_level(logging.WARNING, "wetstream"), reading(settings, topic) as reader:
        found = reader.read_to_last_stable_offset()
    assert {name: found.records for name, found in found.items()} == {"good": 7}
    assert caplog.text.count("ignored a message that is no marker") == 4


def test_a_reader_waits_for_the_open_transactions_of_the_partitions_it_asks_for(
    progress: tuple[Settings, Topic],
) -> None:
    settings, topic = progress
    send(settings, topic, (0, b"s", marker("s", 1)), (1, b"t", marker("t", 1)))
    options = settings.bootstrap_servers.client_options()
    with (
        closing(KafkaProducer(**options, transactional_id=topic.name)) as producer,
        reading(settings, topic, 1) as reader,
    ):
        producer.init_transactions()
        producer.begin_transaction()
        producer.send(topic.name, key=b"t", value=marker("t", 2), partition=1).get(30)
        assert set(reader.read_to_last_stable_offset()) == {"s", "t"}
        assert reader.read_to_high_watermark(0)["s"].records == 1
        for partition in (1, None):
            with pytest.raises(ProgressError, match=r"within 1 s: a transaction stays open"):
                reader.read_to_high_watermark(partition)
        producer.commit_transaction()
        assert reader.read_to_high_watermark(1)["t"].records == 2


@pytest.mark.parametrize(("value", "age"), [(OLD, "an older"), (changed({"contract": 3}), "a newer")])
def test_topics_of_another_contract_are_refused(value: bytes, age: str, progress: tuple[Settings, Topic]) -> None:
    settings, topic = progress
    send(settings, topic, (1, b"t", marker("t", 1)))
    check_contract(settings, settings.bootstrap_servers)
    send(settings, topic, (3, b"s", value))
    with pytest.raises(ContractError, match=rf"written by {age} wetstream .*--pipeline"):
        check_contract(settings, settings.bootstrap_servers)


def test_a_pipeline_without_topics_has_no_contract(make_settings: Make) -> None:
    settings = make_settings()
    check_contract(settings, settings.bootstrap_servers)


def test_only_a_marker_of_somebody_new_is_a_claim(
    progress: tuple[Settings, Topic], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("producers.fencing.CLAIM_S", 0.5)
    settings, topic = progress
    send(settings, topic, (0, b"s", replace(FIRST, owner="rival").to_json()))
    slept: list[float] = []
    with reading(settings, topic) as reader:
        assert wait_for_claim(reader, "t", set(), slept.append) is None
        assert wait_for_claim(reader, "s", {"rival", "me"}, slept.append) is None
        assert slept
        claim = wait_for_claim(reader, "s", {"me"}, slept.append)
        assert claim is not None and claim.owner == "rival"
