"""Hostile WET files, made from a seed: headers, texts, compression and damage that real files never have together."""

from __future__ import annotations

import base64
import gzip
import hashlib
import random
import struct

import zstandard

FORMS = ("gzip", "single", "multi", "split", "stored", "plain", "zstd", "zstd-single", "zstd-raw")
VERSIONS = (b"WARC/1.0", b"WARC/1.1", b"WARC/0.18", b"WARC/0.17", b"WARC/2.0", b"WARC/1.0 ")
LENGTHS = (
    b"+5",
    b"0x10",
    b"-1",
    b"",
    b"1e3",
    b"99999999999999999999",
    b"4294967296",
    b"1000000",
    b"5000",
    b"3",
    b"\r\n 7",
)
ODD_LINES = (
    *(b"no colon", b" folded: " + b"x" * 40, b"WARC/1.0", b"", b"A: WARC/1.0", b"\tContent-Length: 3"),
    b"X:" + b" " * 500,
)
SHOWN = b"WARC/1.0\r\nWARC-Type: conversion\r\nContent-Length: %d\r\n\r\n%b"


def hostile_file(chance: random.Random) -> bytes:
    """A small file: some records, each perhaps odd; a form; perhaps damage."""
    records = [_record(chance, number) for number in range(chance.randrange(1, 9))]
    data = _form(chance, records)
    for _ in range(chance.choice((0, 0, 1, 1, 2, 5))):
        data = _damaged(chance, data)
    return data + chance.choice((b"", b"", b"", bytes(512), b"\r\n", b"\0\n\0", b"garbage", b"\x1f\x8b", b"WARC/1."))


def _record(chance: random.Random, number: int) -> bytes:
    newline = chance.choice((b"\r\n", b"\r\n", b"\n"))
    block = _text(chance)
    version = chance.choice(VERSIONS) if chance.random() < 0.3 else b"WARC/1.0"
    lines = [
        version,
        b"WARC-Type: " + chance.choice((b"conversion", b"warcinfo")),
        b"WARC-Target-URI: http://a.b/%d" % number,
    ]
    if chance.random() < 0.6:
        lines.append(b"WARC-Block-Digest: sha1:" + base64.b32encode(hashlib.sha1(block).digest()))
    if chance.random() < 0.2:
        lines.insert(chance.randrange(1, len(lines) + 1), chance.choice(ODD_LINES))
    length = (
        chance.choice(LENGTHS)
        if chance.random() < 0.15
        else b"%d" % (len(block) + chance.choice((0, 0, 0, 0, 0, 2, -1)))
    )
    name = chance.choice((b"Content-Length: ", b"Content-Length: ", b"content-length\t:", b"Content-Length:\r\n\t"))
    if chance.random() < 0.95:
        lines.append(name + length)
    if chance.random() < 0.1:
        lines.append(b"Content-Length: 11")
    mark = b"\xef\xbb\xbf" if chance.random() < 0.05 else b""
    between = newline * chance.choice((2, 2, 2, 2, 0, 1, 5))
    return mark + newline.join(lines) + 2 * newline + block + between


def _text(chance: random.Random) -> bytes:
    """A block: words, or what looks like the beginning of something else."""
    parts = []
    for _ in range(chance.randrange(0, 6)):
        shown = b"shown " * chance.randrange(0, 9)
        parts.append(
            chance.choice(
                (
                    b"words of a page \xc3\xa4\n" * chance.randrange(0, 60),
                    b"\r\n\r\n" + SHOWN % (len(shown), shown) + b"\r\n\r\n",
                    SHOWN % (chance.choice((5, 700, 90_000)), b""),
                    gzip.compress(SHOWN % (len(shown), shown) + b"\r\n\r\n"),
                    zstandard.compress(SHOWN % (len(shown), shown) + b"\r\n\r\n"),
                    b"\nWARC/1.0\r\nA" * chance.randrange(0, 200),
                    b"\x1f\x8b\x08" * chance.randrange(0, 50),
                    b"\0" * chance.randrange(0, 300),
                    chance.randbytes(chance.randrange(0, 200)),
                    b"\r\n" * chance.randrange(0, 20),
                )
            )
        )
    return b"".join(parts)


def _form(chance: random.Random, records: list[bytes]) -> bytes:
    form, whole = chance.choice(FORMS), b"".join(records)
    if form == "plain":
        return whole
    if form == "zstd":
        return b"".join(
            zstandard.ZstdCompressor(write_checksum=chance.random() < 0.5).compress(part) for part in records
        )
    if form == "zstd-raw":
        return b"".join(map(raw_literals, records))
    if form == "zstd-single":
        skippable = struct.pack("<II", 0x184D2A50, 8) + bytes(8)
        return chance.choice((b"", skippable)) + zstandard.compress(whole)
    if form == "gzip":
        return b"".join(chance.choice((b"", b"", b"", bytes(9))) + _member(chance, part) for part in records)
    if form == "stored":
        return b"".join(gzip.compress(part, 0) for part in records)
    if form == "single":
        return _member(chance, whole)
    step = chance.randrange(20, 3000)
    if form == "multi":
        step = chance.randrange(1, 4)
        return b"".join(_member(chance, b"".join(records[at : at + step])) for at in range(0, len(records), step))
    return b"".join(_member(chance, whole[at : at + step]) for at in range(0, len(whole), step))


def raw_literals(text: bytes) -> bytes:
    """A zstd frame that holds the text as it is, in blocks that come out only when all of them is in."""
    blocks = []
    for at in range(0, len(text), 60_000):
        piece = text[at : at + 60_000]
        literals = struct.pack("<I", len(piece) << 4 | 0b1100)[:3] + piece  # raw, with a size of 20 bits
        body = literals + b"\0"  # no sequences
        last = at + len(piece) == len(text)
        blocks.append(struct.pack("<I", len(body) << 3 | 2 << 1 | last)[:3] + body)
    return b"\x28\xb5\x2f\xfd\x80\x38" + struct.pack("<I", len(text)) + b"".join(blocks)


def _member(chance: random.Random, text: bytes) -> bytes:
    """A gzip member, perhaps with the extra fields that few writers use (RFC 1952)."""
    member = gzip.compress(text, chance.choice((0, 1, 9)))
    if chance.random() < 0.8:
        return member
    extra, name = b"sl\x04\0abcd", b"name.warc\0"
    return member[:3] + bytes([0x04 | 0x08]) + member[4:10] + struct.pack("<H", len(extra)) + extra + name + member[10:]


def _damaged(chance: random.Random, data: bytes) -> bytes:
    if not data:
        return data
    at, length = chance.randrange(len(data)), chance.choice((1, 2, 7, 100, 3000))
    noise = chance.choice((bytes(length), b"\n" * length, chance.randbytes(length), data[at : at + length]))
    return chance.choice(
        (
            data[:at],
            data[:at] + data[at + length :],
            data[:at] + noise + data[at:],
            data[:at] + noise + data[at + length :],
        )
    )
