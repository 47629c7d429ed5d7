"""Damage to small WET files, for hypothesis; and a fuzz case: a hostile file, read under everything that must hold."""

from __future__ import annotations

import contextlib
import functools
import io
import random
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import strategies as st

from conf.reasons import STUB_REASONS, TRUNCATED
from producers.wet import codec as codecs
from producers.wet import recognise, records
from producers.wet.codec import Decoder
from producers.wet.digest import BlockDigest
from producers.wet.items import Record, Stub
from producers.wet.members import Members
from producers.wet.recognise import NotWetError
from producers.wet.records import WetReader
from producers.wet.splitter import Splitter
from producers.wet.window import Window
from tests.examples import examples
from tests.producers.hostile import hostile_file
from tests.producers.wet_forms import WetFile, assert_chain, read_bytes, wet_file

MANY = examples(40, deadline=60_000)  # a hang, on any machine


@functools.cache
def whole(form: str) -> WetFile:
    return wet_file(form, count=14)


@dataclass(frozen=True)
class Damage:
    """`data` with the bytes from `begin` to `end` (of the undamaged file) gone, changed, or pushed on."""

    data: bytes
    begin: int
    end: int


@st.composite
def damages(draw: st.DrawFn, data: bytes) -> Damage:
    kind = draw(st.sampled_from(["cut", "flip", "insert", "take out", "write over"]))
    at = draw(st.integers(0, len(data) - 1))
    if kind == "cut":
        return Damage(data[:at], at, len(data))
    if kind == "flip":
        changed = bytearray(data)
        changed[at] ^= 1 << draw(st.integers(0, 7))
        return Damage(bytes(changed), at, at + 1)
    length = min(draw(st.sampled_from([1, 2, 7, 100, 3_000])), len(data) - at)
    if kind == "take out":
        return Damage(data[:at] + data[at + length :], at, at + length)
    noise = draw(
        st.one_of(st.binary(min_size=length, max_size=length), st.just(bytes(length)), st.just(b"\n" * length))
    )
    if kind == "insert":
        return Damage(data[:at] + noise + data[at:], at, at)
    return Damage(data[:at] + noise + data[at + length :], at, at + length)


@dataclass
class Work:
    """Bytes that reading a file has passed over: read, fed to decoders and given by them, searched and hashed.

    `largest_member` is what one decoder gave: a damaged member may stand for megabytes that become part of no item.
    """

    total: int = 0
    largest_member: int = 0


class _CountingFile(io.BytesIO):
    def __init__(self, data: bytes, work: Work) -> None:
        super().__init__(data)
        self._work = work

    def read(self, size: int | None = -1, /) -> bytes:
        block = super().read(size)
        self._work.total += len(block)
        return block


class _CountingDecoder:
    def __init__(self, decoder: Decoder, work: Work) -> None:
        self._decoder = decoder
        self._work = work
        self._given = 0

    def decompress(self, data: bytes) -> bytes:
        self._work.total += len(data)
        block = self._decoder.decompress(data)
        self._given += len(block)
        self._work.total += len(block)
        self._work.largest_member = max(self._work.largest_member, self._given)
        return block

    def __getattr__(self, name: str) -> object:
        return getattr(self._decoder, name)


@contextlib.contextmanager
def counted_work(work: Work) -> Iterator[None]:
    """Count what the reader does meanwhile."""
    search, feed = Window.search, BlockDigest.feed

    def counting_search(self: Window, pattern: re.Pattern[bytes], position: int, end: int) -> re.Match[bytes] | None:
        match = search(self, pattern, position, end)
        reached = min(end, self.end) if match is None else self.begin + match.end()
        work.total += max(0, reached - position)
        return match

    def counting_feed(self: BlockDigest, piece: bytes | memoryview) -> None:
        work.total += len(piece)
        feed(self, piece)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Window, "search", counting_search)
        patched.setattr(BlockDigest, "feed", counting_feed)
        for name in ("GZIP", "ZSTD"):
            codec = getattr(codecs, name)
            counting = replace(codec, make=lambda make=codec.make: _CountingDecoder(make(), work))
            patched.setattr(codecs, name, counting)
            patched.setattr(records, name, counting, raising=False)
        patched.setattr(codecs, "CODECS", (codecs.GZIP, codecs.ZSTD))
        patched.setattr(recognise, "CODECS", codecs.CODECS)
        yield


def read_counted(data: bytes, **options: Any) -> tuple[list[Record | Stub], Work]:
    """The items of a file, and the work that they took."""
    work = Work()
    with counted_work(work):
        items = list(WetReader(_CountingFile(data, work), "it", **options))
    return items, work


PADDING = b"\0\r\n \t"


def is_padding(rest: bytes) -> bool:
    """Whether only padding is left of a file, also inside gzip members."""
    while rest := rest.lstrip(PADDING):
        member = zlib.decompressobj(31)
        try:
            text = member.decompress(rest)
        except zlib.error:
            return False
        if not member.eof or text.strip(PADDING):
            return False
        rest = member.unused_data
    return True


def assert_balanced(data: bytes, items: list[Record | Stub], **options: Any) -> None:
    """Every byte belongs to an item or to padding, the reasons are known, and reading can resume at every place."""
    assert_chain(items)
    stubs = [item for item in items if isinstance(item, Stub)]
    assert {stub.reason for stub in stubs} <= set(STUB_REASONS)
    cut = bool(stubs) and stubs[-1] is items[-1] and stubs[-1].reason == TRUNCATED
    assert all(stub.reason != TRUNCATED for stub in (stubs[:-1] if cut else stubs))
    assert all(item.next > item.place for item in (items[:-1] if cut else items))
    if recognise.recognise(io.BytesIO(data), "it") is None:
        for item in items:
            if isinstance(item, Record):
                around = data[item.place.member : item.next.member].replace(item.raw, b"", 1)
                assert not around.replace(b"\xef\xbb\xbf", b"").strip(b"\r\n")
    if items and not cut:
        assert is_padding(data[items[-1].next.member :]) or items[-1].next.inner
    for number in {0, len(items) // 2, len(items)}:
        if number and not (cut and number == len(items)):
            assert read_bytes(data, start=items[number - 1].next, **options) == items[number:]


WORK_PER_BYTE = 300
WORK_BYTES = 4 << 20


def fuzz_case(seed: int) -> None:
    """Make one hostile or damaged file and read it: no crash, balanced books, bounded work, a true fast path.

    Raises:
        AssertionError: Something of that does not hold; `hostile_file(random.Random(seed))` is the file.
    """
    chance = random.Random(seed)
    data = hostile_file(chance)
    options = {"max_record_bytes": chance.choice((2_000, 50_000, 1 << 24)), "verify_digests": chance.random() < 0.3}
    try:
        items, work = read_counted(data, **options)
    except NotWetError:
        return
    text_bytes = sum(len(item.raw) if isinstance(item, Record) else item.length for item in items)
    bound = WORK_PER_BYTE * (len(data) + text_bytes + work.largest_member) + WORK_BYTES
    assert work.total <= bound, work
    assert_balanced(data, items, **options)
    if recognise.recognise(io.BytesIO(data), "it") is codecs.GZIP:
        members = Members(io.BytesIO(data), codecs.GZIP)
        splitter = Splitter(members, options["max_record_bytes"], verify_digests=bool(options["verify_digests"]))
        assert list(splitter.items()) == items
