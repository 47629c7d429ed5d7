"""The short way through a file that is as it should be gives what the splitter gives, and leaves it all else."""

from __future__ import annotations

import functools
import gzip
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.wet.codec import GZIP, codec_of
from producers.wet.fast_path import MEMBER, FastPath
from producers.wet.items import Record, Stub
from producers.wet.members import BEGINNING, Members
from producers.wet.records import NotWetError, WetReader
from producers.wet.splitter import Splitter
from tests.producers.damage import MANY, damages
from tests.producers.wet_forms import FORMS, wet_file

LIMIT = 1 << 24


@functools.cache
def members(form: str = "gzip") -> bytes:
    return wet_file(form, count=14).data


def by_splitter(data: bytes, *, verify: bool, limit: int = LIMIT) -> list[Record | Stub]:
    file = io.BytesIO(data)
    return list(Splitter(Members(file, codec_of(data[:64]), BEGINNING), limit, verify_digests=verify).items())


def by_reader(data: bytes, *, verify: bool, limit: int = LIMIT) -> list[Record | Stub]:
    return list(WetReader(io.BytesIO(data), "it", max_record_bytes=limit, verify_digests=verify))


def short(data: bytes, start: int = 0) -> FastPath:
    return FastPath(io.BytesIO(data), start, LIMIT, verify_digests=False)


def test_intact_file_takes_the_fast_path_to_its_end() -> None:
    way = short(members())
    items = list(way.records())
    assert way.ended and way.consumed == len(members())
    assert items == by_splitter(members(), verify=False)


@pytest.mark.parametrize("form", [form for form in FORMS if wet_file(form, count=2).data[:2] == b"\x1f\x8b"])
@pytest.mark.parametrize("limit", [LIMIT, 900])
def test_every_form(form: str, limit: int) -> None:
    data = members(form)
    assert by_reader(data, verify=True, limit=limit) == by_splitter(data, verify=True, limit=limit)


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.fuzz
@MANY
@given(draw=st.data())
def test_damaged_anywhere(verify: bool, draw: st.DataObject) -> None:
    damaged = draw.draw(damages(members())).data
    try:
        items = by_reader(damaged, verify=verify)
    except NotWetError:
        return
    if codec_of(damaged[:64]) is GZIP:
        assert items == by_splitter(damaged, verify=verify)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"WARC/1.0\r\n", b"WARC/1.0\n"),
        (b"WARC/1.0\r\n", b"\r\nWARC/1.0\r\n"),
        (b"WARC/1.0\r\n", b"WARC/x\r\n"),
        (b"\r\nContent-Length: ", b"\r\nContent-Length: 1"),
        (b"\r\nContent-Length: ", b"\r\nContent-Langth: "),
        (b"\r\nContent-Length: ", b"\r\nWARC/1.0\r\nContent-Length: "),
        (b"\r\nWARC-Target-URI", b"\n\nWARC-Target-URI"),
        (b"\r\nWARC-Target-URI", b"\n\r\nWARC-Target-URI"),
        (b"\r\nWARC-Target-URI", b"\r\n\nWARC-Target-URI"),
        (b"\r\n\r\n", b""),
        (b"\r\n\r\n", b"\n\n"),
    ],
)
@pytest.mark.parametrize("verify", [True, False])
def test_unusual_records_in_their_own_members(old: bytes, new: bytes, verify: bool) -> None:
    records = wet_file("gzip", count=14).records
    for number in (0, 5, 13):
        parts = [record + b"\r\n\r\n" for record in records]
        assert old in parts[number]
        parts[number] = parts[number].replace(old, new, 1)
        data = b"".join(map(gzip.compress, parts))
        assert by_reader(data, verify=verify) == by_splitter(data, verify=verify)


def test_text_that_begins_with_line_ends() -> None:
    odd = b"WARC/1.0\nWARC-Type: conversion\nContent-Length: 6\n\n\r\nabcd"
    records = [*wet_file("gzip", count=14).records[:2], odd]
    data = b"".join(gzip.compress(record + b"\r\n\r\n") for record in records)
    assert [item.raw for item in by_reader(data, verify=False) if isinstance(item, Record)] == records


@pytest.mark.parametrize("between", [b"", b"\r\n", b"\r\n\r\nWARC", b"text"])
def test_unusual_members_between_records(between: bytes) -> None:
    parts = [record + b"\r\n\r\n" for record in wet_file("gzip", count=14).records]
    for place in (3, 14):
        data = b"".join(map(gzip.compress, [*parts[:place], between, *parts[place:]]))
        assert by_reader(data, verify=False) == by_splitter(data, verify=False)


def test_bytes_after_a_member_are_not_overlooked_when_they_end_like_one() -> None:
    parts = [gzip.compress(record + b"\r\n\r\n") for record in wet_file("gzip", count=14).records]
    for number in (0, 5, 13):
        trailer = parts[number][-8:]
        longer = trailer[:4] + (int.from_bytes(trailer[4:], "little") + 1).to_bytes(4, "little")
        for behind in (b"odd" + trailer, trailer, b"odd" + trailer[4:], longer):
            data = b"".join([*parts[: number + 1], behind, *parts[number + 1 :]])
            assert by_reader(data, verify=False) == by_splitter(data, verify=False)


def test_text_that_contains_gzip_magic() -> None:
    text = b"so \x1f\x8b\x08\x00 it begins"
    odd = b"WARC/1.0\r\nWARC-Type: conversion\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text)
    records = wet_file("gzip", count=14).records
    stored = gzip.compress(odd + b"\r\n\r\n", compresslevel=0)
    assert MEMBER.search(stored, 1)
    data = b"".join([*(gzip.compress(record + b"\r\n\r\n") for record in records), stored])
    assert [item.raw for item in by_reader(data, verify=False) if isinstance(item, Record)] == [*records, odd]


def test_reading_resumes_at_every_member() -> None:
    items = by_reader(members(), verify=False)
    for number, item in enumerate(items):
        assert list(short(members(), item.place.member).records()) == items[number:]
