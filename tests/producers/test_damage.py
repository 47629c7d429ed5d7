"""Whatever is done to a file's bytes: no crash, no hang, whole records before and after are kept, the books balance."""

from __future__ import annotations

import re
import zlib

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from producers.wet.items import Record, Stub
from producers.wet.members import BEGINNING
from producers.wet.recognise import NotWetError
from tests.producers.damage import MANY, Damage, damages, whole
from tests.producers.wet_forms import WetFile, assert_chain, raws, read_bytes, wet_file

REASONS = {"damaged", "truncated", "oversize"}


def read_damaged(file: WetFile, damage: Damage, **options: object) -> list[Record | Stub]:
    """The items, after what holds for every damage has been checked: the chain, the reasons, the end, going on."""
    items = read_bytes(damage.data, **options)
    assert_chain(items)
    stubs = [item for item in items if isinstance(item, Stub)]
    assert {stub.reason for stub in stubs} <= REASONS
    assert all(stub.reason != "truncated" for stub in stubs[:-1])
    assert all(stub.length > 0 or stub.reason == "truncated" for stub in stubs)
    if items and (not stubs or stubs[-1].reason != "truncated"):
        # Up to the end: the last place is that of the end of the file (or inside a member that nothing follows).
        assert read_bytes(damage.data, start=items[-1].next, **options) == []
    middle = len(items) // 2
    if middle and items[middle - 1].next != items[middle - 1].place:
        assert read_bytes(damage.data, start=items[middle - 1].next, **options) == items[middle:]
    return items


def assert_all_of(expected: list[bytes], items: list[Record | Stub]) -> None:
    """Every expected record was handed out, in order."""
    found = iter(raws(items))
    lost = [record[:160] for record in expected if not any(record == raw for raw in found)]
    assert not lost, [item if isinstance(item, Stub) else item.place for item in items]


def not_wet(error: NotWetError, damage: Damage, first: tuple[int, int]) -> None:
    """A file may only be refused when its beginning is damaged."""
    assert damage.begin < first[1], error


@pytest.mark.parametrize("form", ["gzip", "lf", "zstd"])
@pytest.mark.fuzz
@MANY
@given(draw=st.data())
def test_undamaged_members_are_kept(form: str, draw: st.DataObject) -> None:
    file = whole(form)
    damage = draw.draw(damages(file.data))
    try:
        items = read_damaged(file, damage)
    except NotWetError as error:
        not_wet(error, damage, file.extents[0])
        return
    untouched = [
        record
        for record, (begin, end) in zip(file.records, file.extents, strict=True)
        if end <= damage.begin or begin >= damage.end
    ]
    assert_all_of(untouched, items)
    # gzip's checksum (with zstd the record's digest) lets nothing through that was not there. The warcinfo's or a
    # page's header could be changed under a right digest only where no checksum covers it.
    if form != "zstd":
        assert set(raws(items)) <= set(file.records)


@pytest.mark.parametrize("form", ["single", "multi", "split", "zstd-single"])
@pytest.mark.fuzz
@MANY
@given(draw=st.data())
def test_records_decoded_before_the_damage_are_kept(form: str, draw: st.DataObject) -> None:
    file = whole(form)
    damage = draw.draw(damages(file.data))
    try:
        items = read_damaged(file, damage)
    except NotWetError as error:
        not_wet(error, damage, file.extents[0])
        return
    # A record that seems to have its member for itself goes with it, so a few bytes of the next one have to come out.
    decoded = decoded_size(file, damage.begin) - 300
    position, before = 0, []
    for record in file.records:
        position += len(record)
        if position <= decoded:
            before.append(record)
        position += 4
    after = [
        record
        for record, (begin, _) in zip(file.records, file.extents, strict=True)
        if form == "multi" and begin >= damage.end
    ]
    assert_all_of(before + after, items)
    assert_blocks_of(file, items)


def decoded_size(file: WetFile, at: int) -> int:
    """How many bytes surely come out of the file's first `at` bytes (for gzip by another decoder than the reader's)."""
    if file.form.startswith("zstd"):
        # A block comes out when its last byte is in; some are held back until the next one begins.
        return len(zstandard.ZstdDecompressor().decompressobj().decompress(file.data[:at]))
    rest, size = file.data[:at], 0
    while rest:
        decoder = zlib.decompressobj(31)
        size += len(decoder.decompress(rest))
        rest = decoder.unused_data
    return size


@pytest.mark.parametrize("form", ["plain", "lf-plain", "tight-plain"])
@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.fuzz
@MANY
@given(draw=st.data())
def test_undamaged_uncompressed_records_are_kept(form: str, verify: bool, draw: st.DataObject) -> None:
    file = whole(form)
    damage = draw.draw(damages(file.data))
    try:
        items = read_damaged(file, damage, verify_digests=verify)
    except NotWetError as error:
        not_wet(error, damage, file.extents[0])
        return
    untouched = []
    for record, (begin, end) in zip(file.records, file.extents, strict=True):
        # The line end before a record tells where it begins after damage; so it counts as touched with it. A header's
        # length reaches over damage behind its record only by the line ends there.
        if end + 2 <= damage.begin or begin - 2 >= damage.end:
            untouched.append(record)
    assert_all_of(untouched, items)
    if verify:
        assert_blocks_of(file, items)


def assert_blocks_of(file: WetFile, items: list[Record | Stub]) -> None:
    """Nothing came through that was not there (unless the damage was to the digest's own line)."""
    blocks = {block(record) for record in file.records}
    assert {block(raw) for raw in raws(items) if b"\nWARC-Block-Digest: sha1:" in raw} <= blocks


def block(record: bytes) -> bytes:
    # A header may end with a damaged line end, and still be read.
    return re.split(rb"\r?\n\r?\n", record, maxsplit=1)[1]


def test_a_member_behind_a_text_without_line_end_is_found() -> None:
    """The text of a damaged record may end without a line end; the next record begins a gzip member all the same."""
    import gzip

    records = wet_file("gzip").records
    broken = records[1].replace(b"Content-Length", b"Content-Langth")
    data = b"".join(gzip.compress(part) for part in (records[0] + b"\r\n\r\n", broken.rstrip(), records[2], records[3]))
    items = read_bytes(data)
    assert [getattr(item, "raw", item.place) for item in items[2:]] == records[2:4]
    assert isinstance(items[1], Stub)
    assert (items[1].reason, items[1].length) == ("damaged", len(broken.rstrip()))


def test_member_that_overruns_others_is_damaged_not_truncated() -> None:
    """Zeros in a member can be decoded as data without an end; the members behind it are found all the same."""
    file = whole("gzip")
    begin, end = max(file.extents, key=lambda extent: extent[1] - extent[0])
    at = (begin + end) // 2 - 12_000
    items = read_bytes(file.data[:at] + bytes(3_000) + file.data[at + 3_000 :])
    (stub,) = [item for item in items if isinstance(item, Stub)]
    assert (stub.reason, stub.place.member, stub.next.member) == ("damaged", begin, end)
    assert len(raws(items)) == len(file.records) - 1


def test_whole_records_in_the_slice_of_the_damage_are_kept_when_their_digest_verifies() -> None:
    file = wet_file("single", count=40, seed=5)
    at = len(file.data) - 9  # in the last deflate block, before the checksum
    damaged = file.data[:at] + bytes((file.data[at] ^ 0xFF,)) + file.data[at + 1 :]
    assert len(raws(read_bytes(damaged))) >= len(file.records) - 2
    # Only the checksum of the whole member is wrong: each record's own digest vouches for it.
    items = read_bytes(file.data[:-8] + bytes(4) + file.data[-4:])
    assert raws(items) == file.records
    assert [(item.reason, "checksum" in item.detail) for item in items if isinstance(item, Stub)] == [("damaged", True)]
    # Without digests nothing vouches for what was decoded last.
    bare = wet_file("single", count=40, seed=5, digests=False)
    items = read_bytes(bare.data[:-8] + bytes(4) + bare.data[-4:])
    assert raws(items) == bare.records[: len(raws(items))]
    assert len(raws(items)) < len(bare.records)


def test_a_wrong_digest_makes_a_stub_when_digests_are_verified() -> None:
    for form in ("gzip", "plain", "lf"):
        file = wet_file(form)
        wrong = file.records[3].replace(b"sha1:", b"sha1:AAAAAAAA", 1)
        wrong = wrong.replace(wrong[wrong.index(b"AAAAAAAA") + 32 :][:8], b"", 1)
        data = file.data if form == "plain" else b""
        if form == "plain":
            data = data.replace(file.records[3], wrong)
        else:
            import gzip

            newline = b"\n\n" if form == "lf" else b"\r\n\r\n"
            data = b"".join(
                gzip.compress((wrong if record is file.records[3] else record) + newline) for record in file.records
            )
        # Nothing else vouches for the bytes of an uncompressed file.
        assert len(raws(read_bytes(data))) == len(file.records) - (form == "plain")
        items = read_bytes(data, verify_digests=True)
        assert raws(items) == [record for record in file.records if record is not file.records[3]]
        (stub,) = [item for item in items if isinstance(item, Stub)]
        assert (stub.reason, stub.detail, stub.length) == ("damaged", "digest", len(wrong))


def test_damaged_content_length_costs_one_record() -> None:
    for form in ("gzip", "single", "plain"):
        for length in (b"99999999999", b"9999999", b"17", b"x"):
            file = wet_file("plain")
            record = file.records[2]
            at = record.index(b"Content-Length: ") + len(b"Content-Length: ")
            wrong = record[:at] + length + record[record.index(b"\r\n", at) :]
            records = [wrong if kept is record else kept for kept in file.records]
            data = encode(form, [kept + b"\r\n\r\n" for kept in records])
            items = read_bytes(data)
            assert raws(items) == [kept for kept in file.records if kept is not record], (form, length)
            assert [item.reason for item in items if isinstance(item, Stub)] == ["damaged"]
            assert_chain(items)


def encode(form: str, parts: list[bytes]) -> bytes:
    import gzip

    if form == "gzip":
        return b"".join(gzip.compress(part) for part in parts)
    return gzip.compress(b"".join(parts)) if form == "single" else b"".join(parts)


def test_endless_record_takes_bounded_memory() -> None:
    import tracemalloc

    header = b"WARC/1.0\r\nWARC-Type: conversion\r\nContent-Length: 999999999999\r\n\r\n"
    for data in (header + b"x" * 60_000_000, encode("single", [header + bytes(60_000_000)])):
        tracemalloc.start()
        items = read_bytes(data)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert len(items) == 1
        assert items[0].place == BEGINNING
        # A step of the decoder gives a thousand times its 8 KiB at most.
        assert peak < 32_000_000, peak
