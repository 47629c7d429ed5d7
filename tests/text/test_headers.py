"""WARC header blocks as the grammar has them: the compiled scanner against a plain reading of it."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.text.headers import DATE, FIELDS, LANGUAGE, LENGTH, RECORD_ID, TYPE, URI, Headers
from tests.examples import examples


def read(*messages: bytes) -> Headers:
    offsets = np.cumsum([0, *map(len, messages)]).astype(np.int32)
    return Headers(np.frombuffer(b"".join(messages), np.uint8), offsets)


def specified(message: bytes) -> tuple[int, list[str | None]]:
    """Where the payload begins (-1: no record), and the values of all fields; line by line, as the standard says it."""
    lines, at, end = [], 0, -1
    for line in re.findall(rb"[^\n]*\n", message):
        at += len(line)
        text = line[:-1].removesuffix(b"\r")
        if lines and not text:
            end = at
            break
        lines.append(text)
    if not message.startswith(b"WARC/"):
        return -1, [None] * len(FIELDS)
    fields: list[list[bytes]] = []
    for text in lines[1:]:
        if text[:1] in (b" ", b"\t"):
            if fields and text.strip(b" \t"):
                fields[-1][1] = (fields[-1][1] + b" " + text.strip(b" \t")).strip(b" \t")
        elif b":" in text:
            name, value = text.split(b":", 1)
            fields.append([name.rstrip(b" \t").lower(), value.strip(b" \t")])
        else:
            fields.append([b"", b""])
    values: list[str | None] = []
    for wanted in FIELDS:
        value = next((value for name, value in fields if name == wanted.encode()), None)
        if wanted == "warc-target-uri" and value is not None and re.fullmatch(rb"(?s)<.*>", value):
            value = value[1:-1]
        values.append(None if value is None else value.decode("utf-8", "replace"))
    return end, values


@pytest.mark.parametrize(
    ("lines", "field", "value"),
    [
        (b"WARC-Target-URI: <http://example.org/>", URI, "http://example.org/"),
        (b"WARC-Target-URI: http://example.org/>", URI, "http://example.org/>"),
        (b"WARC-Target-URI: <", URI, "<"),
        (b"WARC-Target-URI:\r\n\t<http://example.org/>", URI, "http://example.org/"),
        (b"WARC-Record-ID: <urn:uuid:1>", RECORD_ID, "<urn:uuid:1>"),
        (b"warc-type\t : \tconversion \t", TYPE, "conversion"),
        (b"WARC-TYPE:conversion", TYPE, "conversion"),
        (b"WARC-Type:\r\n conversion", TYPE, "conversion"),
        (b"WARC-Type: con\r\n\tversion", TYPE, "con version"),
        (b"X: a\r\n WARC-Type: warcinfo\r\nWARC-Type: conversion", TYPE, "conversion"),
        (b"WARC-Type: conversion\r\nWARC-Type: warcinfo", TYPE, "conversion"),
        (b"WARC-Type: conversion\r\nno colon\r\n behind it\r\nWARC-Date: x", TYPE, "conversion"),
        (b" WARC-Type: warcinfo", TYPE, None),
        (b"WARC-Identified-Content-Language:", LANGUAGE, ""),
        (b"Content-Length: 5\r\nContent-Length: 6", LENGTH, "5"),
        (b"WARC-Date: 2016\r\n \r\nWARC-Type: x", DATE, "2016"),
    ],
)
@pytest.mark.parametrize("version", [b"WARC/1.0", b"WARC/1.1", b"WARC/0.18"])
def test_values(version: bytes, lines: bytes, field: int, value: str | None) -> None:
    message = version + b"\r\n" + lines + b"\r\n\r\nhello"
    for data in (message, message.replace(b"\r\n", b"\n")):
        got = read(b"WARC/1.0\r\n\r\n", data, b"nothing")
        assert got.field(field).to_pylist() == [None, value, None]
        assert specified(data)[1][field] == value


NAMES = st.sampled_from([*FIELDS, "WARC-Type", "Warc-Target-Uri", "warc-dat", "content-length ", "x", "", " warc-type"])
VALUES = st.text("a<>: \té0\r", max_size=8)
LINES = st.one_of(st.builds("{}:{}".format, NAMES, VALUES), VALUES, st.builds(" {}".format, VALUES))


@pytest.mark.fuzz
@examples(100)  # the first call compiles
@given(st.lists(st.tuples(st.lists(LINES, max_size=8), st.sampled_from(["\r\n", "\n"]), st.booleans()), max_size=4))
def test_any_header_block(blocks: list[tuple[list[str], str, bool]]) -> None:
    messages = [
        ("WARC/1.0" + newline + newline.join(lines) + newline * (2 if ends else 1) + "hello").encode()
        for lines, newline, ends in blocks
    ]
    got = read(*messages)
    begins = np.cumsum([0, *map(len, messages)])
    columns = [got.field(number).to_pylist() for number in range(len(FIELDS))]
    for i, message in enumerate(messages):
        end, values = specified(message)
        payload = int(got.payloads[i])
        assert (payload - int(begins[i]) if payload >= 0 else -1) == end
        if end >= 0:
            assert [column[i] for column in columns] == values
