"""Small WET files in every form that the reader takes, with the place of each record in them."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import zstandard

from producers.wet.items import Record, Stub
from producers.wet.members import BEGINNING, Place
from producers.wet.records import WetReader

LETTERS = "abcdefghijklmnopqrstuvwxyzäöüßéñ漢字かな'-., "
FORMS = ("gzip", "single", "multi", "split", "plain", "zstd", "zstd-single", "lf", "lf-plain", "tight-plain")


@dataclass(frozen=True)
class WetFile:
    """A file's bytes, its records as they stand in it, and which bytes of the file each one stands in.

    Where records share a gzip member, the extents are those of the member.
    """

    form: str
    data: bytes
    records: list[bytes]
    extents: list[tuple[int, int]]

    def read(self, **options: object) -> list[Record | Stub]:
        return read_bytes(self.data, **options)


def read_bytes(data: bytes, *, start: Place = BEGINNING, **options: object) -> list[Record | Stub]:
    return list(WetReader(io.BytesIO(data), "it", start=start, **options))  # type: ignore[arg-type]


def made_records(
    count: int, seed: int = 1, *, newline: bytes = b"\r\n", version: str = "1.0", digests: bool = True
) -> list[bytes]:
    """A warcinfo record and `count` pages between nothing and some kilobytes, one a good deal longer."""
    chance = random.Random(seed)
    records = [_record("warcinfo", 0, b"robots: classic\r\n", newline, version, digests)]
    for number in range(1, count + 1):
        length = 70_000 if number == count // 2 else int(chance.expovariate(1 / 900))
        text = "".join(chance.choice(LETTERS) if chance.random() > 0.02 else "\n" for _ in range(length))
        records.append(_record("conversion", number, text.encode(), newline, version, digests))
    return records


def _record(kind: str, number: int, block: bytes, newline: bytes, version: str, digests: bool) -> bytes:
    digest = base64.b32encode(hashlib.sha1(block).digest()).decode()
    lines = [
        f"WARC/{version}",
        f"WARC-Type: {kind}",
        f"WARC-Target-URI: http://example.org/{number}",
        f"WARC-Record-ID: <urn:uuid:00000000-0000-0000-0000-{number:012}>",
        *([f"WARC-Block-Digest: sha1:{digest}"] if digests else []),
        f"Content-Length: {len(block)}",
    ]
    return newline.join(line.encode() for line in lines) + 2 * newline + block


def wet_file(form: str, count: int = 11, *, seed: int = 1, version: str = "1.0", digests: bool = True) -> WetFile:
    newline = b"\n" if form.startswith("lf") else b"\r\n"
    records = made_records(count, seed, newline=newline, version=version, digests=digests)
    between = b"" if form == "tight-plain" else 2 * newline
    if form == "tight-plain":
        # No empty lines between records, as some writers leave them out; then a text has to end its last line.
        records = [record if record.endswith(b"\n") else _with_line_end(record) for record in records]
    parts = [record + between for record in records]
    if form.endswith("plain"):
        return _joined(form, records, parts, lambda part: part)
    if form in ("gzip", "lf"):
        return _joined(form, records, parts, gzip.compress)
    if form == "zstd":
        return _joined(form, records, parts, zstandard.ZstdCompressor(write_checksum=True).compress)
    whole = b"".join(parts)
    if form == "single":
        return _shared(form, records, [(gzip.compress(whole), len(records))])
    if form == "zstd-single":
        return _shared(form, records, [(zstandard.compress(whole), len(records))])
    if form == "multi":
        members = [parts[at : at + 3] for at in range(0, len(parts), 3)]
        return _shared(form, records, [(gzip.compress(b"".join(member)), len(member)) for member in members])
    assert form == "split"
    # As parallel compressors do it: a new member after so many bytes, wherever that is in a record.
    data = b"".join(gzip.compress(whole[at : at + 5_000]) for at in range(0, len(whole), 5_000))
    return WetFile(form, data, records, [(0, len(data))] * len(records))


def _with_line_end(record: bytes) -> bytes:
    header, _, block = record.partition(b"\r\n\r\n")
    fields = dict(line.split(b": ", 1) for line in header.split(b"\r\n")[1:])
    return _record(
        fields[b"WARC-Type"].decode(), int(fields[b"WARC-Record-ID"][-13:-1]), block + b"\n", b"\r\n", "1.0", True
    )


def _joined(form: str, records: list[bytes], parts: list[bytes], compress: Callable[[bytes], bytes]) -> WetFile:
    return _shared(form, records, [(compress(part), 1) for part in parts])


def _shared(form: str, records: list[bytes], members: list[tuple[bytes, int]]) -> WetFile:
    data, extents = b"", []
    for member, count in members:
        extents += [(len(data), len(data) + len(member))] * count
        data += member
    return WetFile(form, data, records, extents)


def raws(items: list[Record | Stub]) -> list[bytes]:
    return [item.raw for item in items if isinstance(item, Record)]


def assert_chain(items: list[Record | Stub]) -> None:
    """No byte between two items, and none twice."""
    assert [item.place for item in items[1:]] == [item.next for item in items[:-1]]
    # Line ends before the first record are no part of it.
    assert not items or items[0].place < (8_192, 0)


def put(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path
