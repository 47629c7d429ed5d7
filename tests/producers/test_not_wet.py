"""What is no WET file is refused with a sentence that says what it is and what helps."""

from __future__ import annotations

import bz2
import gzip
import lzma
from pathlib import Path

import pytest

from producers.wet.recognise import NotWetError
from producers.wet.records import read_records
from tests.producers.wet_forms import put, wet_file

WAT = b"WARC/1.0\r\nWARC-Type: metadata\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}\r\n\r\n"
WARC = b"WARC/1.0\r\nWARC-Type: response\r\nContent-Type: application/http\r\nContent-Length: 2\r\n\r\nHT\r\n\r\n"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is empty (0 bytes): fetch it again"),
        (b"just a text\nof two lines\n", "is not a WARC file"),
        (b"<!DOCTYPE html><html><body>503 Slow Down</body></html>", "is an HTML page"),
        (gzip.compress(b"<html>access denied</html>"), "is an HTML page"),
        (gzip.compress(b"some other text"), "begins with 'WARC/', this one with b'some other text'"),
        (gzip.compress(WAT), "a WAT file (metadata records in JSON), not a WET file"),
        (gzip.compress(WARC), "a WARC file of raw HTTP responses, not a WET file"),
        (WARC, "a WARC file of raw HTTP responses"),
        (gzip.compress(b""), "is not a WARC file"),
        (gzip.compress(b"WARC/1.0 and more" * 100)[:9], "before its first record (byte offset 0): fetch it again"),
        (b"\x1f\x8b\x08\x00" + b"\xff" * 500, "its first gzip member cannot be read"),
        (b"\x28\xb5\x2f\xfd" + b"\xff" * 500, "its first zstd member cannot be read"),
        (bz2.compress(b"WARC/1.0"), "compressed with bzip2, which is not read: decompress it"),
        (lzma.compress(b"WARC/1.0"), "compressed with xz, which is not read"),
        (b"PK\x03\x04" + bytes(90), "a zip archive"),
        (gzip.compress(gzip.compress(WARC)), "is gzip inside gzip: decompress it once"),
        (b"WARC/0.9 117 response http://a.b/ 20160101000000 text/plain uuid:1\n\n" * 3, "not the version line"),
        (WARC.replace(b"\r\n", b"\r"), "begins with b'WARC/1.0', which is not the version line"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20, "is not a WARC file"),
    ],
    ids=[
        "empty",
        "text",
        "html",
        "html.gz",
        "text.gz",
        "wat.gz",
        "warc.gz",
        "warc",
        "nothing.gz",
        "cut.gz",
        "broken.gz",
        "broken.zst",
        "bz2",
        "xz",
        "zip",
        "twice.gz",
        "version 0.9",
        "CR only",
        "png",
    ],
)
def test_other_file_types_are_refused_by_name(data: bytes, said: str, tmp_path: Path) -> None:
    path = put(tmp_path, "it.warc.wet.gz", data)
    with pytest.raises(NotWetError) as refused:
        list(read_records(path))
    assert said in str(refused.value)
    assert str(path) in str(refused.value)


def test_a_wet_file_whose_first_bytes_are_damaged_is_still_one(tmp_path: Path) -> None:
    for form in ("gzip", "zstd", "plain"):
        file = wet_file(form)
        for at in (0, 1, 3, 12):
            data = bytearray(file.data)
            data[at] ^= 0x55
            items = list(read_records(put(tmp_path, "it", bytes(data))))
            assert [item.raw for item in items if hasattr(item, "raw")][-len(file.records) + 1 :] == file.records[1:]
