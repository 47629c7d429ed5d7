"""Messages of the topic as columns: the inverse of what the producer writes, and nothing is lost on the way."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conf import reasons
from producers.topic.message import (
    MAX_SOURCE_BYTES,
    MAX_STUB_LENGTH,
    clip_header,
    message_key,
    message_value,
    retraction_key,
    stub_value,
)
from producers.wet.items import Record, Stub
from producers.wet.members import Place
from streaming.tasks.keys import UNKNOWN_SOURCE
from streaming.tasks.messages import Messages, read_messages
from tests.examples import examples

PAGE = (
    b"WARC/1.0\r\nWARC-Type: conversion\r\nWARC-Target-URI: http://example.org/\r\n"
    b"WARC-Date: 2016-12-02T18:03:04Z\r\nWARC-Record-ID: <urn:uuid:1>\r\n"
    b"WARC-Identified-Content-Language: eng,spa\r\nContent-Length: 5\r\n\r\nhello"
)

STUB = Stub(Place(9, 0), Place(9, 0), 4711, "truncated", "the file ends", b"WARC/1.0\r\nX: y\r\n\r\n")
FORGED = (
    b"WARC/1.0\r\nWARC-Type: x-wetstream-stub\r\nWetstream-Reason: truncated\r\nWetstream-Records: -1\r\n"
    b"Wetstream-Length: 4611686018427387904\r\nContent-Length: 0\r\n\r\n"
)
places = st.tuples(st.integers(0, 10**18 - 1), st.integers(0, 10**18 - 1)).map(lambda pair: Place(*pair))


def read(*messages: tuple[bytes | None, bytes | None]) -> Messages:
    keys, values = zip(*messages, strict=True)
    return read_messages(pa.array(keys, pa.binary()), pa.array(values, pa.binary()))


def four_places(got: Messages) -> list[tuple[int, ...]]:
    columns = (got.record_offset, got.inner_offset, got.next_offset, got.next_inner)
    return list(zip(*(column.to_pylist() for column in columns), strict=True))


def test_a_page_and_its_fields() -> None:
    got = read((b"record file:///a@b.wet.gz@17-99", PAGE), (b"record s@17+2048-17+4096", PAGE))
    assert got.source.to_pylist() == ["file:///a@b.wet.gz", "s"]
    assert four_places(got) == [(17, 0, 99, 0), (17, 2048, 17, 4096)]
    assert got.url.to_pylist() == ["http://example.org/"] * 2
    assert got.record_id[0].as_py() == "<urn:uuid:1>"
    assert got.date[0].as_py().isoformat() == "2016-12-02T18:03:04+00:00"
    assert got.language_header == ["eng,spa"] * 2
    assert got.reason == [None, None]
    assert got.records.tolist() == [1, 1]
    assert got.payload_bytes.tolist() == [5, 5]
    assert [got.data[a:b].tobytes() for a, b in zip(got.starts, got.ends, strict=True)] == [b"hello"] * 2


@pytest.mark.parametrize(("key", "records"), [(message_key("s", STUB), 1), (retraction_key("s", STUB), -1)])
def test_a_stub_keeps_its_reason_and_length(key: bytes, records: int) -> None:
    got = read((key, stub_value(STUB)))
    assert got.reason == ["truncated"]
    assert got.records.tolist() == [records]
    assert got.payload_bytes.tolist() == [4711]
    assert got.starts.tolist() == [-1]
    assert four_places(got) == [(9, 0, 9, 0)]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (PAGE.replace(b"conversion", b"warcinfo"), reasons.NOT_CONVERSION),
        (PAGE.replace(b"WARC-Type: conversion\r\n", b""), reasons.MALFORMED),
        (PAGE.replace(b"\r\n\r\n", b"\r\n"), reasons.MALFORMED),
        (b"anything", reasons.MALFORMED),
        (b"", reasons.MALFORMED),
        (None, reasons.MALFORMED),
        (FORGED, reasons.NOT_CONVERSION),
        (stub_value(STUB), reasons.NOT_CONVERSION),
        (PAGE.replace(b"conversion", b"Conversion"), None),
        (PAGE.replace(b"\r\n", b"\n"), None),
    ],
)
def test_every_value_of_a_record_has_one_reason_or_is_a_page(value: bytes | None, reason: str | None) -> None:
    got = read((b"record s@1-2", PAGE), (b"record s@2-3", value), (b"record s@3-4", PAGE))
    assert got.reason == [None, reason, None]
    assert got.records.tolist() == [1, 1, 1]
    assert (got.starts >= 0).tolist() == [True, reason is None, True]
    assert got.payload_bytes[1] <= len(value or b"")


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        PAGE,
        FORGED,
        stub_value(STUB).replace(b"truncated", b"made_up"),
        stub_value(STUB).replace(b"4711", b"-4711"),
        stub_value(STUB).replace(b"4711", str(MAX_STUB_LENGTH + 1).encode()),
        stub_value(STUB).replace(b"4711", b"9" * 5000),
    ],
)
@pytest.mark.parametrize("kind", [b"stub", b"retraction"])
def test_a_stubs_key_with_another_value_is_one_malformed_record(kind: bytes, value: bytes | None) -> None:
    got = read((kind + b" s@9-9", value))
    assert got.reason == [reasons.MALFORMED]
    assert got.records.tolist() == [1]
    assert 0 <= got.payload_bytes[0] <= len(value or b"")


@pytest.mark.parametrize(
    "key",
    [
        None,
        b"",
        b"no place",
        b"s@17",  # contract 1
        b"record s@",
        b"record s@1",
        b"record s@x-2",
        b"record s@1-x",
        b"record s@1+-2",
        b"record s@1-2+",
        b"record s@1-2-3",
        b"record s@+1-2",
        b"record @1-2",
        b"record s@2-1",
        b"record s@1-1",
        b"record s@1+2-1+1",
        b"records s@1-2",
        b"Record s@1-2",
        b"record  @1-2"[:-6],
        b" s@1-2",
        b"@1-2",
        b"1-2",
        b"-2",
        b"record \xff@1-2",
        b"record s@1-9999999999999999999",
        b"record s@-1-2",
        b"record s@1- 2",
        b"record " + b"s" * (MAX_SOURCE_BYTES + 1) + b"@1-2",
    ],
)
def test_a_foreign_key_is_a_malformed_record_of_an_unknown_source(key: bytes | None) -> None:
    got = read((b"record s@1-2", PAGE), (key, PAGE))
    assert got.source.to_pylist() == ["s", UNKNOWN_SOURCE]
    assert four_places(got) == [(1, 0, 2, 0), (-1, -1, -1, -1)]
    assert got.reason == [None, reasons.MALFORMED]
    assert got.starts[1] == -1


@pytest.mark.fuzz
@examples(100)
@given(
    st.lists(
        st.tuples(
            st.none() | st.binary(max_size=30) | st.from_regex(rb"(record|stub|retraction) [s@+ -]{1,3}@[0-9+-]{1,9}"),
            st.none() | st.binary(max_size=200),
        ),
        min_size=1,
        max_size=8,
    ),
    st.integers(0, 7),
)
def test_arbitrary_bytes_and_slices_never_break_it(messages: list[tuple[bytes | None, bytes | None]], cut: int) -> None:
    keys = pa.array([key for key, _ in messages], pa.binary())
    values = pa.array([value for _, value in messages], pa.binary())
    begin = min(cut, len(messages) - 1)
    got = read_messages(keys[begin:], values[begin:])
    whole = read_messages(keys, values)
    assert got.reason == whole.reason[begin:]
    assert all(reason is not None for reason in whole.reason)
    assert whole.records.tolist() == [1] * len(messages)
    assert np.array_equal(got.payload_bytes, whole.payload_bytes[begin:])
    assert got.source.to_pylist() == whole.source.to_pylist()[begin:]
    assert four_places(got) == four_places(whole)[begin:]


# Names that look like parts of a key.
names = st.text(min_size=1, max_size=20) | st.text(alphabet="@+- 019recordstub", min_size=1, max_size=30)


@pytest.mark.fuzz
@examples(100)
@given(names, places, places, st.sampled_from(["record", "stub", "cut", "retraction"]), st.binary(max_size=40))
def test_messages_round_trip_for_any_source_name(
    source: str, place: Place, following: Place, kind: str, header: bytes
) -> None:
    place, following = min(place, following), max(place, following)
    if place == following and kind == "record":
        following = Place(place.member + 1, 0)
    if following.member >= 10**18:
        return
    stub = Stub(place, place if kind in ("cut", "retraction") else following, 5, "damaged", "\r\nX: y\r\n\r\n", header)
    record = Record(place, following, PAGE, 0)
    try:
        key = (
            retraction_key(source, stub)
            if kind == "retraction"
            else message_key(source, record if kind == "record" else stub)
        )
    except UnicodeEncodeError:  # a lone surrogate is in no source's name
        return
    got = read((key, message_value(record if kind == "record" else clip_header(stub))))
    assert got.source.to_pylist() == [source]
    assert four_places(got) == [(*place, *(following if kind == "record" else stub.next))]
    assert got.reason == [None if kind == "record" else "damaged"]
    assert got.records.tolist() == [-1 if kind == "retraction" else 1]
    assert got.payload_bytes.tolist() == [5]


def test_a_stub_longer_than_any_file_is_counted_up_to_the_bound() -> None:
    huge = Stub(Place(0, 0), Place(5, 0), 1 << 70, "damaged", "", b"")
    assert read((message_key("s", huge), stub_value(huge))).payload_bytes.tolist() == [MAX_STUB_LENGTH]
