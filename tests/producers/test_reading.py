"""The reader gives what the reference readers give, in every form, and the same from every place that it hands out."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import pytest
from fastwarc.warc import ArchiveIterator as FastIterator
from warcio import ArchiveIterator

from producers.wet.items import Record, Stub
from producers.wet.records import read_records
from tests.producers.wet_forms import FORMS, WetFile, assert_chain, put, raws, wet_file

SHORT = Path(__file__).parents[1] / "data" / "sample-80.warc.wet.gz"
TRUNCATED = "CC-MAIN-20170720121902-00000.truncated.warc.wet.gz"
# What a reader is asked for: type, URI and id of a record, and the bytes of its block.
Content = tuple[str, str, str, bytes]


def ours(record: Record) -> Content:
    fields = {}
    for line in record.raw[: record.header_bytes].splitlines()[1:]:
        name, _, value = line.partition(b":")
        fields[name.lower()] = value.strip().decode()
    block = record.raw[record.header_bytes :]
    return fields[b"warc-type"], fields.get(b"warc-target-uri", ""), fields[b"warc-record-id"], block


def warcio_contents(data: bytes) -> list[Content]:
    return [
        (
            record.rec_type,
            record.rec_headers.get_header("WARC-Target-URI") or "",
            record.rec_headers.get_header("WARC-Record-ID"),
            record.raw_stream.read(),
        )
        for record in ArchiveIterator(io.BytesIO(data), no_record_parse=True)
    ]


def fastwarc_contents(data: bytes) -> list[Content]:
    contents = []
    for record in FastIterator(io.BytesIO(data), parse_http=False):
        headers = {name.lower(): value for name, value in record.headers.items()}
        kind, uri = headers["warc-type"], headers.get("warc-target-uri", "")
        contents.append((kind, uri, headers["warc-record-id"], record.reader.read()))
    return contents


def assert_same_as_references(path: Path) -> None:
    items = list(read_records(path))
    assert_chain(items)
    contents = [ours(item) for item in items if isinstance(item, Record)]
    data = path.read_bytes()
    if path.name != TRUNCATED:
        assert len(contents) == len(items)
        if data[:2] == b"\x1f\x8b":
            # Decoded first: warcio refuses files whose records share a gzip member.
            data = gzip.decompress(data)
        # warcio mends URIs: <> around them taken off (WARC/1.0 had them in its grammar), spaces written as %20.
        mended = [(kind, uri.strip("<>").replace(" ", "%20"), name, block) for kind, uri, name, block in contents]
        assert warcio_contents(data) == mended
        assert fastwarc_contents(path.read_bytes()) == contents
    else:
        # Of a file that is cut, the references hand out part of the last record as if it were whole.
        assert len(contents) == 44
        assert [type(item) for item in items[-2:]] == [Record, Stub]
        assert fastwarc_contents(data)[:44] == contents


def test_sample_gives_what_warcio_and_fastwarc_give(sample: Path) -> None:
    assert_same_as_references(SHORT)
    assert_same_as_references(sample)


@pytest.mark.parametrize(
    "name",
    [
        "wet/cc-2014-2024-merged.warc.wet.gz",
        f"wet/{TRUNCATED}",
        "wet/cc-2015-35-single-member.wet.gz",
        "wet/cc-2024-22-one-record-spa.warc.wet.gz",
        "wet/corrupt-conversion-header.wet.gz",
        "web/web-pages-1519.warc.wet.gz",
    ],
)
def test_real_files_give_what_warcio_and_fastwarc_give(name: str, shared_data: Path) -> None:
    assert_same_as_references(shared_data / name)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_every_form_yields_the_original_records(form: str, version: str) -> None:
    file = wet_file(form, version=version)
    items = file.read()
    assert raws(items) == file.records
    assert len(items) == len(file.records)
    assert_chain(items)
    assert not file.data[items[-1].next.member :].strip(b"\r\n")


def test_warcinfo_record_may_be_missing() -> None:
    file = wet_file("gzip")
    behind = file.extents[0][1]
    assert WetFile("gzip", file.data[behind:], [], []).read()[0].raw == file.records[1]  # type: ignore[union-attr]


@pytest.mark.parametrize("form", FORMS)
def test_reading_resumes_at_every_place_with_the_same_items(form: str) -> None:
    file = wet_file(form)
    items = file.read()
    for number, item in enumerate(items):
        assert file.read(start=item.next) == items[number + 1 :]


def test_reading_resumes_in_real_files(shared_data: Path) -> None:
    for path in sorted((shared_data / "wet").iterdir()):
        items = list(read_records(path))
        for number in range(0, len(items), 7):
            if not isinstance(items[number], Stub):
                assert list(read_records(path, start=items[number].next)) == items[number + 1 :]


@pytest.mark.parametrize("form", ["gzip", "single", "plain", "zstd"])
def test_reading_resumes_where_a_truncated_file_has_grown(form: str, tmp_path: Path) -> None:
    file = wet_file(form)
    for at in range(len(file.data) // 3, len(file.data), len(file.data) // 9):
        path = put(tmp_path, "it.wet", file.data[:at])
        *before, last = read_records(path)
        whole = raws(before)
        assert last.next == last.place or len(before) + 1 == len(file.records)
        if isinstance(last, Stub):
            assert last.reason == "truncated"
            path.write_bytes(file.data)
            assert whole + raws(list(read_records(path, start=last.next))) == file.records


def test_oversized_record_becomes_a_stub_and_the_rest_follows(tmp_path: Path) -> None:
    for form in FORMS:
        file = wet_file(form)
        items = file.read(max_record_bytes=50_000)
        stubs = [item for item in items if isinstance(item, Stub)]
        assert [stub.reason for stub in stubs] == ["oversize"]
        assert stubs[0].header.startswith(b"WARC/1.0")
        long = max(file.records, key=len)
        assert stubs[0].length == len(long)
        assert raws(items) == [record for record in file.records if record is not long]
        assert_chain(items)
