"""Hostile and unusual files: what a page shows is believed by nobody, work is bounded, padding is no damage."""

from __future__ import annotations

import gzip
import io
import struct
from collections.abc import Callable

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from producers.wet.items import Record, Stub
from producers.wet.records import WetReader
from tests.producers.damage import MANY, fuzz_case, read_counted, whole
from tests.producers.hostile import raw_literals
from tests.producers.wet_forms import FORMS, assert_chain, raws, read_bytes, wet_file

HEADER = b"WARC/1.0\r\nWARC-Type: conversion\r\nWARC-Target-URI: http://example.org/%d\r\n"
DIGEST = b"WARC-Block-Digest: sha1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\r\n"


def record(number: int, block: bytes) -> bytes:
    return HEADER % number + b"Content-Length: %d\r\n\r\n%b" % (len(block), block)


def encode(form: str, parts: list[bytes]) -> bytes:
    """The records, with line ends behind each, in one of the forms."""
    parts = [part + b"\r\n\r\n" for part in parts]
    if form == "plain":
        return b"".join(parts)
    if form in ("gzip", "stored"):
        return b"".join(gzip.compress(part, 0 if form == "stored" else 9) for part in parts)
    if form == "zstd":
        return b"".join(map(zstandard.compress, parts))
    if form == "zstd-raw":
        return b"".join(map(raw_literals, parts))
    if form == "split":
        text = b"".join(parts)
        return b"".join(gzip.compress(text[at : at + 700]) for at in range(0, len(text), 700))
    return gzip.compress(b"".join(parts), 0 if form == "single-stored" else 9)


ENCODED = ("gzip", "stored", "single", "single-stored", "split", "plain", "zstd", "zstd-raw")
SHOWN = record(7, b"shown in a page\n") + b"\r\n\r\n"


@pytest.mark.fuzz
@given(st.integers(0, 1 << 62))
@MANY
def test_hostile_files(seed: int) -> None:
    fuzz_case(seed)


@pytest.mark.parametrize("form", ENCODED)
@pytest.mark.parametrize(
    "shown",
    [
        SHOWN,
        b"WARC/1.0\r\nWARC-Type: conversion\r\nContent-Length: 99999\r\n\r\n",
        gzip.compress(SHOWN),
        zstandard.compress(SHOWN),
        zstandard.compress(SHOWN) * 3,
        SHOWN * 20,
    ],
    ids=["record", "header", "gzip", "zstd", "zstd-frames", "many"],
)
def test_a_page_that_shows_a_record_is_one_record_wherever_the_file_is_cut(form: str, shown: bytes) -> None:
    text = b"how a record looks:\r\n\r\n" + shown + b"and so on " * 1_500
    records = [record(0, b"first"), record(1, text), record(2, b"last")]
    data = encode(form, records)
    whole_items = read_bytes(data)
    assert raws(whole_items) == records and len(whole_items) == 3
    for at in range(len(encode(form, records[:1])), len(data), max(1, len(data) // 60)):
        items = read_bytes(data[:at])
        # In a file of members cut anywhere, a member may begin just where the page shows a record.
        assert all(item.reason == "truncated" for item in items if isinstance(item, Stub)), at
        last = items[-1]
        if isinstance(last, Stub):
            items = [*items[:-1], *read_bytes(data, start=last.next)]
            assert items == whole_items


@pytest.mark.parametrize("form", ["stored", "single-stored"])
def test_a_member_that_a_page_shows_is_not_read_when_the_page_is_damaged(form: str) -> None:
    text = b"look: " + gzip.compress(SHOWN) + b" that was it " * 2_000
    records = [record(0, b"first"), record(1, text), record(2, b"last")]
    data = bytearray(encode(form, records))
    data[-8 if form == "single-stored" else data.index(b" that was it") + 40] ^= 1  # a checksum, or a byte of the text
    found = raws(read_bytes(bytes(data)))
    assert found == ([records[0], records[2]] if form == "stored" else records[: len(found)])


def test_a_zstd_frame_that_a_page_shows_is_not_read_when_the_page_is_damaged() -> None:
    text = b"look: " + zstandard.compress(SHOWN) + b" that was it " * 2_000
    records = [record(0, b"first"), record(1, text), record(2, b"last")]
    data = bytearray(encode("zstd-raw", records))
    data[len(raw_literals(records[0] + b"\r\n\r\n")) + 13] = 0xFF  # the kind and size of the literals
    items = read_bytes(bytes(data))
    assert raws(items) == [records[0], records[2]]
    assert [item.reason for item in items if isinstance(item, Stub)] == ["damaged"]


@pytest.mark.parametrize("form", ["single-stored", "zstd-raw"])
def test_a_member_that_the_record_before_shows_is_not_read_when_the_file_is_cut(form: str) -> None:
    """What is read again from damage on begins some kilobytes before the record that is cut."""
    member = gzip.compress(SHOWN) if form == "single-stored" else zstandard.compress(SHOWN)
    records = [record(0, b"first"), record(1, b"look: " + member + b"!"), record(2, b"a long text " * 2_000)]
    parts = [part + b"\r\n\r\n" for part in records]
    if form == "single-stored":
        data = gzip.compress(b"".join(parts), 0)
    else:
        data = raw_literals(parts[0]) + raw_literals(parts[1] + parts[2])
    whole_items = read_bytes(data)
    assert raws(whole_items) == records
    for at in range(len(b"".join(parts[:2])) + 200, len(data), 700):
        items = read_bytes(data[:at])
        stub = items[-1]
        assert isinstance(stub, Stub) and stub.reason == "truncated", at
        assert [*items[:-1], *read_bytes(data, start=stub.next)] == whole_items


@pytest.mark.parametrize("form", ["plain", "single", "gzip", "zstd"])
@pytest.mark.parametrize("length", [b"1500", b"9", b"0", b"99999", b"99999999999", b"99999999999999999999999", b"x"])
def test_the_digest_proves_where_a_record_with_a_wrong_length_ends(form: str, length: bytes) -> None:
    records = wet_file("plain", count=4).records
    wrong = records[2][: records[2].index(b"Content-Length: ")] + b"Content-Length: " + length
    wrong += records[2][records[2].index(b"\r\n\r\n") :]
    items = read_bytes(encode(form, [*records[:2], wrong, *records[3:]]))
    assert raws(items) == [*records[:2], *records[3:]]
    assert [item.reason for item in items if isinstance(item, Stub)] == ["damaged"]


@pytest.mark.parametrize(
    ("length", "read"),
    [
        *((b" 16", True), (b"16", True), (b"\t16 \t", True), (b" 0000000000000000000000016", True)),
        *((b"\r\n 16", True), (b" 16\r\nContent-Length: 3", True), (b" 16\r\nX: y\r\n z", True)),
        *((b" +16", False), (b" -16", False), (b" 0x10", False), (b" 16.0", False), (b"", False), (b" 1 6", False)),
        *((b" 1\r\n 6", False), (" １６".encode(), False), (b" 99999999999999999999", False), (b" 16,16", False)),
        *((b" x\r\nContent-Length: 16", False), (b" 16\r\r\n", False)),
    ],
)
@pytest.mark.parametrize("form", ["gzip", "plain"])
@pytest.mark.parametrize("name", [b"Content-Length", b"content-length", b"CONTENT-LENGTH \t"])
def test_first_content_length_counts_and_must_be_a_number(form: str, name: bytes, length: bytes, read: bool) -> None:
    odd = HEADER % 1 + name + b":" + length + b"\r\n\r\n" + b"sixteen letters."
    records = [record(0, b"first"), odd, record(2, b"last")]
    items = read_bytes(encode(form, records))
    assert raws(items) == (records if read else [records[0], records[2]])
    assert len(items) == 3


@pytest.mark.parametrize("version", ["0.17", "0.18", "1.0", "1.1", "2.0", "10.12"])
@pytest.mark.parametrize("form", FORMS)
def test_versions(form: str, version: str) -> None:
    file = wet_file(form, count=5, version=version)
    if form != "tight-plain":
        assert raws(file.read()) == file.records


@pytest.mark.parametrize("form", ENCODED)
def test_byte_order_marks_of_joined_files(form: str) -> None:
    mark = b"\xef\xbb\xbf"
    records = [record(number, b"text") for number in range(3)]
    items = read_bytes(encode(form, [mark + records[0], records[1], mark + records[2]]))
    assert raws(items) == records and len(items) == 3
    assert_chain(items)


@pytest.mark.parametrize("part", [1, 2])
def test_a_byte_order_mark_that_two_members_share(part: int) -> None:
    """A file may be cut into members anywhere; where reading resumes is not in the middle of a mark."""
    records = [record(number, b"text") for number in range(3)]
    texts = [records[0] + b"\r\n\r\n\xef\xbb\xbf"[: 4 + part], b"\xef\xbb\xbf"[part:] + b"\r\n\r\n".join(records[1:])]
    data = b"".join(map(gzip.compress, texts))
    items = read_bytes(data)
    assert raws(items) == records
    assert read_bytes(data, start=items[0].next) == items[1:]


PADDING = st.text("\0\r\n \t", max_size=3_000).map(str.encode) | st.builds(bytes, st.integers(0, 20_000))


@pytest.mark.parametrize("form", ["gzip", "single", "multi", "split", "zstd", "zstd-single"])
@pytest.mark.fuzz
@MANY
@given(behind=PADDING, between=PADDING)
def test_padding_after_and_between_members_is_not_damage(form: str, behind: bytes, between: bytes) -> None:
    file = whole(form)
    items = read_bytes(file.data + behind)
    assert raws(items) == file.records and len(items) == len(file.records)
    assert items[-1].next == (len(file.data), 0)
    joined = read_bytes(file.data + between + file.data + behind)
    assert raws(joined) == 2 * file.records and len(joined) == 2 * len(file.records)


@pytest.mark.parametrize("form", ["gzip", "zstd", "single"])
@pytest.mark.parametrize("behind", [b"x", b"\0garbage", b"\r\nWARC", b"garbage of many bytes" * 9, b"\xff\xff"])
def test_anything_else_behind_the_last_member_is_one_stub(form: str, behind: bytes) -> None:
    file = whole(form)
    *items, stub = read_bytes(file.data + behind)
    assert raws(items) == file.records
    assert isinstance(stub, Stub)
    assert (stub.reason, stub.next.member) == ("damaged", len(file.data + behind))


def test_zeros_behind_an_uncompressed_file_are_padding_and_zeros_inside_are_damage() -> None:
    file = whole("plain")
    assert file.read() == [*read_bytes(file.data + bytes(70_000))]
    inside = read_bytes(file.data + bytes(70_000) + file.data)
    assert [item.length for item in inside if isinstance(item, Stub)] == [70_000]
    assert raws(inside) == 2 * file.records


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress, raw_literals], ids=["gzip", "zstd", "raw"])
def test_a_member_of_zeros_is_damage_and_zeros_behind_its_last_record_are_padding(
    compress: Callable[[bytes], bytes],
) -> None:
    text = record(0, b"first") + b"\r\n\r\n"
    *items, stub = read_bytes(compress(text) + compress(bytes(3_000)))
    assert raws(items) == [record(0, b"first")]
    assert isinstance(stub, Stub) and (stub.reason, stub.length) == ("damaged", 3_000)
    assert raws(read_bytes(compress(text + bytes(3_000)))) == [record(0, b"first")]
    assert len(read_bytes(compress(text + bytes(3_000)))) == 1


@pytest.mark.parametrize("form", ["plain", "single", "multi", "zstd"])
@pytest.mark.parametrize("kind", ["sha1", "sha256", "md5"])
def test_digests_are_verified_where_no_checksum_covers_the_bytes(form: str, kind: str) -> None:
    import hashlib

    block = b"a text of some words"
    right = HEADER % 1 + b"WARC-Block-Digest: %b:\r\n %b\r\n" % (
        kind.encode(),
        hashlib.new(kind, block).hexdigest().encode(),
    )
    right += b"Content-Length: %d\r\n\r\n" % len(block)
    records = [record(0, b"first"), right + block, right + block.replace(b"some", b"sore"), record(3, b"last")]
    parts = [part + b"\r\n\r\n" for part in records]
    data = encode(form, records) if form != "multi" else gzip.compress(parts[0]) + gzip.compress(b"".join(parts[1:]))
    items = read_bytes(data)
    assert raws(items) == [*records[:2], records[3]]
    assert [(item.reason, item.detail) for item in items if isinstance(item, Stub)] == [("damaged", "digest")]


@pytest.mark.parametrize("kind", ["sha1", "sha-256", "MD5", "sha512"])
def test_digests_are_read_in_every_form_that_tools_write(kind: str) -> None:
    import base64
    import hashlib

    block, other = b"a text of some words", b"a text of sore words"
    for form in (base64.b32encode, base64.b64encode, lambda raw: raw.hex().encode()):
        written = form(hashlib.new(kind.lower().replace("-", ""), block).digest())
        forms = {written, written.rstrip(b"=")}
        if form is not base64.b64encode:
            forms |= {written.upper(), written.lower()}
        for text in forms:
            header = HEADER % 1 + b"WARC-Block-Digest: %b:%b\r\nContent-Length: 20\r\n\r\n" % (kind.encode(), text)
            items = read_bytes(encode("plain", [header + block, header + other]))
            assert raws(items) == [header + block], text
            assert [item.detail for item in items if isinstance(item, Stub)] == ["digest"]


@pytest.mark.parametrize("value", [b"", b"sha1", b"sha1:", b"sha1: ", b"blake3:00", b":AAAA"])
def test_an_empty_digest_or_one_of_an_unknown_kind_says_nothing(value: bytes) -> None:
    text = HEADER % 1 + b"WARC-Block-Digest: " + value + b"\r\nContent-Length: 4\r\n\r\ntext"
    assert raws(read_bytes(encode("plain", [record(0, b"first"), text]))) == [record(0, b"first"), text]


def overlapping_members(count: int) -> bytes:
    """Members that all run on to one common end: each would be decoded as far as that again."""
    head, text = b"\x1f\x8b\x08\x00\0\0\0\0\0\xff", b"WARC/1.0\r\n"
    unit = len(head) + 5 + len(text)
    data = b""
    for number in range(count):
        length = (count - number) * unit - len(head) - 5
        data += head + b"\0" + struct.pack("<HH", length, length ^ 0xFFFF) + text
    return data + (b"\0" + struct.pack("<HH", 50_000, 50_000 ^ 0xFFFF) + b"z" * 50_000) * 20 + b"\xff" * 9


GOOD = gzip.compress(record(0, b"good") + b"\r\n\r\n")
BROKEN = bytearray(gzip.compress(record(1, b"text") + b"\r\n\r\n"))
BROKEN[-6] ^= 1


@pytest.mark.parametrize(
    "data",
    [
        gzip.compress(b"\nWARC/1.0\r\nA" * 200_000),
        b"WARC/1.0\r\nA" + b"\nWARC/1.0\r\nA" * 100_000,
        record(0, b"") + (b"\n" + HEADER % 1 + b"Content-Length: 600000\r\n\r\n") * 10_000,
        record(0, b"") + (b"\n" + HEADER % 1 + DIGEST + b"Content-Length: 600000\r\n\r\n") * 10_000,
        record(0, b"") + (b"\n" + HEADER % 1 + DIGEST + b"Content-Length: 60000000\r\n\r\n") * 10_000,
        record(0, b"") + b"\n" + HEADER % 1 + b"a: b\r\n" * 200_000,
        GOOD + b"\x1f\x8b\x08" * 200_000,
        GOOD + b"\x1f\x8b\x08\x00\0\0\0\0\0\xff" * 60_000,
        GOOD + b"\x28\xb5\x2f\xfd" * 100_000,
        zstandard.compress(record(0, b"good")) + b"\x28\xb5\x2f\xfd\x20\x01\x00" * 60_000,
        GOOD + bytes(BROKEN) * 4_000,
        (GOOD * 9 + gzip.compress(b"odd")) * 500,
        GOOD + gzip.compress(b"") * 20_000,
        GOOD + overlapping_members(2_000),
    ],
    ids=range(14),
)
def test_work_is_linear_in_the_bytes(data: bytes) -> None:
    items, work = read_counted(data)
    decoded = len(gzip.decompress(data)) if data[:2] == b"\x1f\x8b" and len(data) < 50_000 else len(data)
    assert work.total <= 700 * decoded + (4 << 20), work.total / decoded
    assert_chain(items)


def test_one_stub_stands_for_many_broken_records() -> None:
    items = read_bytes(gzip.compress(b"\nWARC/1.0\r\nA" * 40_000) + GOOD)
    assert [type(item) for item in items] == [Stub, Record]


def test_reading_can_be_interrupted_at_every_step() -> None:
    calls = 0

    def check() -> None:
        nonlocal calls
        calls += 1
        if calls > 4:
            raise InterruptedError

    text = record(0, b"first") + b"\r\n\r\n" + b"no record " * 4_000_000
    for data in (text, gzip.compress(text)):
        calls = 0
        with pytest.raises(InterruptedError):
            list(WetReader(io.BytesIO(data), "it", check=check))


@pytest.mark.parametrize("form", ENCODED)
def test_a_file_cut_around_the_end_of_a_record_continues_with_the_same_items(form: str) -> None:
    records = [record(number, b"text %d" % number) for number in range(4)]
    data, end = encode(form, records), len(encode(form, records[:2]))
    expected = read_bytes(data)
    for at in range(end - 14, end + 30):
        items = read_bytes(data[:at])
        if isinstance(items[-1], Stub):
            items = [*items[:-1], *read_bytes(data, start=items[-1].next)]
        else:
            items += read_bytes(data, start=items[-1].next)
        assert items == expected, at


@pytest.mark.parametrize("length", [b"4294967297", b"99999999999", b"9" * 40])
def test_absurd_content_length_is_rejected_even_without_a_digest(length: bytes) -> None:
    records = [record(0, b"first"), HEADER % 1 + b"Content-Length: " + length + b"\r\n\r\ntext", record(2, b"last")]
    items = read_bytes(encode("plain", records))
    assert raws(items) == [records[0], records[2]]
    assert [item.reason for item in items if isinstance(item, Stub)] == ["damaged"]
