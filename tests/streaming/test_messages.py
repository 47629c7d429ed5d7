"""Messages of the topic as columns: the inverse of what the producer writes, and nothing is lost on the way."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conf import reasons
from producers.topic.message import message_key, stub_value
from producers.wet.members import Place
from producers.wet.records import Stub
from streaming.messages import UNKNOWN_SOURCE, Messages, read_messages

PAGE = (
    b"WARC/1.0\r\nWARC-Type: conversion\r\nWARC-Target-URI: http://example.org/\r\n"
    b"WARC-Date: 2016-12-02T18:03:04Z\r\nWARC-Record-ID: <urn:uuid:1>\r\n"
    b"WARC-Identified-Content-Language: eng,spa\r\nContent-Length: 5\r\n\r\nhello"
)


def read(*messages: tuple[bytes | None, bytes | None]) -> Messages:
    keys, values = zip(*messages, strict=True)
    return read_messages(pa.array(keys, pa.binary()), pa.array(values, pa.binary()))


def test_a_page_and_its_fields() -> None:
    got = read((b"file:///a@b.wet.gz@17", PAGE), (b"s@17+2048", PAGE))
    assert got.source.to_pylist() == ["file:///a@b.wet.gz", "s"]
    assert got.record_offset.to_pylist() == [17, 17]
    assert got.inner_offset.to_pylist() == [0, 2048]
    assert got.url.to_pylist() == ["http://example.org/"] * 2
    assert got.record_id[0].as_py() == "<urn:uuid:1>"
    assert got.date[0].as_py().isoformat() == "2016-12-02T18:03:04+00:00"
    assert got.language_header == ["eng,spa"] * 2
    assert got.reason == [None, None]
    assert got.payload_bytes.tolist() == [5, 5]
    assert [got.data[a:b].tobytes() for a, b in zip(got.starts, got.ends, strict=True)] == [b"hello"] * 2


@pytest.mark.parametrize("records", [1, -1])
def test_a_stub_keeps_its_reason_and_length(records: int) -> None:
    stub = Stub(Place(9, 0), Place(9, 0), 4711, "truncated", "the file ends", b"WARC/1.0\r\nX: y\r\n\r\n")
    got = read((message_key("s", stub.place), stub_value(stub, records)))
    assert got.reason == ["truncated"]
    assert got.records.tolist() == [records]
    assert got.payload_bytes.tolist() == [4711]
    assert got.starts.tolist() == [-1]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (PAGE.replace(b"conversion", b"warcinfo"), reasons.NOT_CONVERSION),
        (PAGE.replace(b"WARC-Type: conversion\r\n", b""), reasons.MALFORMED),
        (PAGE.replace(b"\r\n\r\n", b"\r\n"), reasons.MALFORMED),
        (b"anything", reasons.MALFORMED),
        (b"", reasons.MALFORMED),
        (None, reasons.MALFORMED),
        (b"WARC/1.1\r\nWARC-Type: x-wetstream-stub\r\nWetstream-Reason: made up\r\n\r\n", reasons.MALFORMED),
        (PAGE.replace(b"conversion", b"Conversion"), None),
        (PAGE.replace(b"\r\n", b"\n"), None),
    ],
)
def test_every_value_has_one_reason_or_is_a_page(value: bytes | None, reason: str | None) -> None:
    got = read((b"s@1", PAGE), (b"s@2", value), (b"s@3", PAGE))
    assert got.reason == [None, reason, None]
    assert (got.starts >= 0).tolist() == [True, reason is None, True]


@pytest.mark.parametrize("key", [None, b"", b"no place", b"s@", b"s@x", b"\xff@1", b"s@1+", b"s@99999999999999999999"])
def test_a_foreign_key_is_a_record_of_an_unknown_source(key: bytes | None) -> None:
    got = read((key, PAGE))
    source = got.source[0].as_py()
    assert source == (UNKNOWN_SOURCE if key != b"\xff@1" else "\ufffd")


@given(
    st.lists(
        st.tuples(st.none() | st.binary(max_size=30), st.none() | st.binary(max_size=200)), min_size=1, max_size=8
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
    assert np.array_equal(got.payload_bytes, whole.payload_bytes[begin:])
    assert got.source.to_pylist() == whole.source.to_pylist()[begin:]


@given(st.text(min_size=1), st.integers(0, 1 << 50), st.integers(0, 1 << 50))
def test_a_key_is_read_as_it_was_written(source: str, member: int, inner: int) -> None:
    try:
        key = message_key(source, Place(member, inner))
    except UnicodeEncodeError:  # a lone surrogate is no identity of a source
        return
    got = read((key, PAGE))
    assert got.source.to_pylist() == [source]
    assert (got.record_offset[0].as_py(), got.inner_offset[0].as_py()) == (member, inner)
