"""Listings as people and tools write them, and what a listing from elsewhere may name."""

from __future__ import annotations

import codecs
import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from conf.settings import ProducerSettings, load_settings
from producers.sources.discover import DiscoverOptions, discover
from producers.sources.listing import Line, Listing, ListingError, read_listing
from producers.sources.listing_paths import ListedFile, ListingPaths
from tests.conftest import SHARED_DATA
from tests.examples import examples
from tests.producers.http_server import Server, serve
from tests.producers.wet_forms import put

LINES = [f"crawl-data/CC-MAIN-2016-50/segments/148.{number % 2}/wet/{number}.warc.wet.gz" for number in range(6)]
NAMES = st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="/\ufeff"), min_size=1, max_size=12)
# (Characters at which str.splitlines would end a line, too.)
NAMES = NAMES | st.sampled_from(["a\u2028b", "a\u2029b", "a b"])
PATHS = NAMES.map(lambda name: f"p{name}.wet.gz")
NOISE = st.sampled_from(["", "  ", "\t", "# a comment", "#x.wet.gz"])
MARKS = {
    "utf-8": b"",
    "utf-8-sig": b"",
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
    "utf-32-le": codecs.BOM_UTF32_LE,
}


def options(**flags: object) -> ProducerSettings:
    defaults = {"producer.source_timeout_s": 1, "producer.source_retry_s": 2}
    return load_settings(flags=defaults | flags, environ={}).producer


def paths_of(file: Path) -> list[str] | None:
    listing = read_listing(str(file), options())
    return None if listing is None else listing.paths


@pytest.mark.fuzz
@examples(100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    paths=st.lists(PATHS, min_size=1, max_size=8),
    noise=st.lists(NOISE, max_size=8),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    encoding=st.sampled_from(sorted(MARKS)),
    compressed=st.booleans(),
    last_end=st.booleans(),
)
def test_listing_paths_in_every_notation(
    paths: list[str], noise: list[str], end: str, encoding: str, compressed: bool, last_end: bool, tmp_path: Path
) -> None:
    lines = [line for pair in zip(noise, paths, strict=False) for line in pair] + paths[len(noise) :]
    data = MARKS[encoding] + (end.join(lines) + end * last_end).encode(encoding)
    file = put(tmp_path, "names", gzip.compress(data) if compressed else data)
    assert paths_of(file) == paths


def test_the_listing_with_a_byte_order_mark() -> None:
    folder = SHARED_DATA / "faults" / "bom-listing"
    if not folder.is_dir():
        pytest.skip(f"no shared data at {folder}")
    assert len(discover([str(folder / "bom.txt")])) == 2


def test_listings_joined_with_cat_and_names_in_another_encoding(tmp_path: Path) -> None:
    joined = put(tmp_path, "names", b"\xef\xbb\xbfa.wet.gz\r\n\xef\xbb\xbfb.wet.gz\r\n")
    assert paths_of(joined) == ["a.wet.gz", "b.wet.gz"]
    (tmp_path / "caf\udce9.wet.gz").write_bytes(b"")
    latin = put(tmp_path, "latin", b"caf\xe9.wet.gz\n")
    (source,) = discover([str(latin)])
    assert Path(source.location).exists()
    assert source.id.endswith("/caf%E9.wet.gz")
    source.name.encode()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"WARC/1.0\r\nWARC-Filename: it.warc.wet.gz\r\n",
        b"\xef\xbb\xbfWARC/1.0\r\nWARC-Filename: it.warc.wet.gz\r\n",
        b"<html>\nit.warc.wet.gz\n</html>",
        b"\0it.wet.gz\n",
        b"a text\nof two lines\n",
    ],
)
def test_files_that_are_not_listings(content: bytes, tmp_path: Path) -> None:
    assert paths_of(put(tmp_path, "it", content)) is None


def test_invalid_line_does_not_lose_the_others(tmp_path: Path) -> None:
    text = "no path\na.wet.gz\nhttps://me:secret@[bad/x\nhttps://h/\x07.wet.gz\ncrawl-data/x.warc.wat.gz\nb.wet.gz\n"
    listing = put(tmp_path, "names", text.encode())
    with pytest.raises(ListingError, match=r"line 1: 'no path' is not the path of a WET file; .* and 1 more"):
        discover([str(listing)])
    found = discover([str(listing)], keep_going=True)
    assert [Path(source.location).name for source in found if source.problem is None] == ["a.wet.gz", "b.wet.gz"]
    problems = [source.problem for source in found if source.problem is not None]
    assert [str(problem).partition(": ")[0][-6:] for problem in problems] == ["line 1", "line 3", "line 4", "line 5"]
    assert not any("secret" in str(problem) for problem in problems)
    assert len({source.id for source in found}) == 6


def test_many_bad_lines_are_counted(tmp_path: Path) -> None:
    listing = put(tmp_path, "names", b"a.wet.gz\n" + b"bad\n" * 500)
    found = discover([str(listing)], keep_going=True)
    assert len(found) == 22
    assert "480 more lines of it cannot be used" in str(found[-1].problem)


def resolved(listing: str, *lines: str, base: str | None = None, **flags: object) -> list[ListedFile]:
    numbered = [Line(number, line) for number, line in enumerate(lines, 1)]
    return list(ListingPaths(listing, base, options(**flags)).resolve(Listing(listing, numbered)))


HTTPS = "https://h.example/lists/wet.paths"
FOREIGN = (
    "http://h.example/x.wet.gz",
    "https://h.example:8443/x.wet.gz",
    "https://h.example@evil.example/x.wet.gz",
    "https://h.example.evil.example/x.wet.gz",
    "https://evil.example\\@h.example/x.wet.gz",
    "//evil.example/x.wet.gz",
    "s3://bucket/x.wet.gz",
    "simplecache::https://h.example/x.wet.gz",
    "https://169.254.169.254/x.wet.gz",
)
LOCAL = (
    "file:///etc/x.wet.gz",
    "FILE:///etc/x.wet.gz",
    "local:///etc/x.wet.gz",
    "simplecache::file:///etc/x.wet.gz",
    "zip://a.wet.gz::/etc/x.zip",
)


def test_a_remote_listing_names_what_lies_with_it() -> None:
    lines = ("a.wet.gz", "b/c#1?.wet.gz", "/d.wet.gz", "https://me:x@H.example:443/e.wet.gz", "../f.wet.gz")
    assert [file.location for file in resolved(HTTPS, *lines)] == [
        "https://h.example/lists/a.wet.gz",
        "https://h.example/lists/b/c%231%3F.wet.gz",
        "https://h.example/d.wet.gz",
        "https://me:x@H.example:443/e.wet.gz",
        "https://h.example/lists/../f.wet.gz",
    ]
    assert all(file.error is None for file in resolved(HTTPS, *lines))
    in_bucket = resolved("s3://bucket/lists/names", "a#1.wet.gz", "/b.wet.gz", "s3://bucket/c.wet.gz")
    assert [file.location for file in in_bucket] == [
        "s3://bucket/lists/a#1.wet.gz",
        "s3://bucket/b.wet.gz",
        "s3://bucket/c.wet.gz",
    ]
    assert resolved("s3://bucket/lists/names", "s3://other/c.wet.gz")[0].error


@pytest.mark.parametrize("line", FOREIGN)
def test_a_remote_listing_may_not_name_other_servers(line: str) -> None:
    (refused,) = resolved(HTTPS, line)
    assert refused.error is not None
    assert "evil" not in (refused.location if refused.error is None else "")
    (allowed,) = resolved(HTTPS, line, **{"producer.allow_foreign_sources": True})
    assert allowed.error is None or "no valid URL" in allowed.error


@pytest.mark.parametrize("line", LOCAL)
@pytest.mark.parametrize("allowed", [False, True])
def test_a_remote_listing_may_never_name_local_files(line: str, allowed: bool) -> None:
    (refused,) = resolved(HTTPS, line, **{"producer.allow_foreign_sources": allowed})
    assert refused.error is not None
    assert "file of this machine" in refused.error


@pytest.mark.parametrize("line", ["../x.wet.gz", "a/../../x.wet.gz", "/etc/x.wet.gz", "file:///data/x.wet.gz"])
def test_a_remote_listing_stays_below_a_local_base(line: str) -> None:
    (refused,) = resolved(HTTPS, line, base="/data")
    assert refused.error is not None
    assert [file.location for file in resolved(HTTPS, "a/x.wet.gz", base="/data")] == ["/data/a/x.wet.gz"]


def test_a_local_listing_may_name_anything() -> None:
    lines = ("/data/a.wet.gz", "https://h.example/b.wet.gz", "s3://bucket/c#1.wet.gz", "file:///data/d.wet.gz")
    assert [file.location for file in resolved("/lists/names", *lines)] == [*lines[:3], "/data/d.wet.gz"]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serve(tmp_path) as server:
        yield server


def test_a_signed_listing_of_signed_urls(server: Server, tmp_path: Path) -> None:
    put(tmp_path, "wet.paths", f"{server.url}/a.wet.gz?X-Amz-Signature=secret\nb.wet.gz\n".encode())
    found = discover([f"{server.url}/wet.paths?token=secret"], settings=options())
    assert [source.location for source in found] == [
        f"{server.url}/a.wet.gz?X-Amz-Signature=secret",
        f"{server.url}/b.wet.gz",
    ]
    assert [source.id for source in found] == [f"{server.url}/a.wet.gz", f"{server.url}/b.wet.gz"]
    assert all(source.confined for source in found)


def test_options_that_are_empty_are_refused(tmp_path: Path) -> None:
    put(tmp_path, "a.wet.gz", b"")
    for given_options in (DiscoverOptions(base=""), DiscoverOptions(match=" ")):
        with pytest.raises(Exception, match="is empty"):
            discover([str(tmp_path)], options=given_options)
