"""From names to sources: folders, globs, listings in all their forms, and what is selected of them."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from producers.sources.discover import DiscoverOptions, SourceNotFoundError, discover
from producers.sources.listing import ListingError, default_base
from tests.producers.wet_forms import put, wet_file

LINES = [f"crawl-data/CC-MAIN-2016-50/segments/148.{number % 2}/wet/{number}.warc.wet.gz" for number in range(6)]


def locations(*names: object, **options: object) -> list[str]:
    found = discover([str(name) for name in names], options=DiscoverOptions(**options))  # type: ignore[arg-type]
    return [source.location for source in found]


def test_folders_globs_and_files_each_once_and_in_order(tmp_path: Path) -> None:
    for name in ("b/2.wet.gz", "a/1.warc.wet.gz", "a/3.wet.zst", "a/4.wet", "a/5.wat.gz", "a/6.txt"):
        put(tmp_path, name, b"")
    expected = [str(tmp_path / name) for name in ("a/1.warc.wet.gz", "a/3.wet.zst", "a/4.wet", "b/2.wet.gz")]
    assert locations(tmp_path) == expected
    assert locations(tmp_path / "b", tmp_path, f"file://{tmp_path}/a/4.wet") == [expected[3], *expected[:3]]
    assert locations(tmp_path / "*" / "*.wet.gz") == [expected[0], expected[3]]
    with pytest.raises(SourceNotFoundError, match="no WET files"):
        locations(put(tmp_path, "c/6.txt", b"").parent)
    with pytest.raises(SourceNotFoundError, match="no such file or folder"):
        locations(tmp_path / "gone.wet.gz")
    with pytest.raises(SourceNotFoundError, match="nothing matches this pattern"):
        locations(tmp_path / "*.wet")


@pytest.mark.parametrize("name", ["wet.paths", "wet.paths.gz", "names"])
def test_a_listing_names_its_sources_from_beside_it_or_from_the_base(name: str, tmp_path: Path) -> None:
    text = "\n".join(["# a comment", "", *LINES, ""]).encode()
    listing = put(tmp_path, name, gzip.compress(text) if name.endswith(".gz") else text)
    assert locations(listing) == [f"{tmp_path}/{line}" for line in LINES]
    assert locations(listing, base="s3://commoncrawl/") == [f"s3://commoncrawl/{line}" for line in LINES]
    # Where a crawl has it, the paths go from the folder that holds crawl-data.
    inside = put(tmp_path, f"crawl-data/CC-MAIN-2016-50/{name}", listing.read_bytes())
    assert locations(inside) == [f"{tmp_path}/{line}" for line in LINES]
    assert [source.id for source in discover([str(listing)])] == LINES


def test_default_base() -> None:
    assert default_base("https://data.commoncrawl.org/crawl-data/CC-MAIN-2024-10/wet.paths.gz") == (
        "https://data.commoncrawl.org"
    )
    assert default_base("s3://commoncrawl/crawl-data/CC-MAIN-2024-10/wet.paths.gz") == "s3://commoncrawl"
    assert default_base("/data/lists/wet.paths") == "/data/lists"
    assert default_base("wet.paths") == "."
    assert default_base("crawl-data/CC-MAIN-2024-10/wet.paths") == "."


def test_underscores_for_slashes_as_p21_has_them(tmp_path: Path) -> None:
    names = put(tmp_path, "names", "\n".join(LINES).encode())
    for line in LINES:
        put(tmp_path, f"data/{line.replace('/', '_')}", b"")
    found = discover([str(names)], options=DiscoverOptions(base=str(tmp_path / "data")))
    assert [source.location for source in found] == [f"{tmp_path}/data/{line.replace('/', '_')}" for line in LINES]
    assert [source.id for source in found] == LINES


def test_match_offset_and_limit(tmp_path: Path) -> None:
    listing = put(tmp_path, "wet.paths", "\n".join(LINES).encode())
    assert locations(listing, match="148.1") == [f"{tmp_path}/{line}" for line in LINES[1::2]]
    assert locations(listing, match="*/[25].warc*") == [f"{tmp_path}/{LINES[number]}" for number in (2, 5)]
    assert locations(listing, match="148.1", offset=1, limit=1) == [f"{tmp_path}/{LINES[3]}"]
    with pytest.raises(SourceNotFoundError, match="none of 6 sources is left by --match"):
        locations(listing, match="2019")


def test_wrong_kinds_of_listings_are_explained(tmp_path: Path) -> None:
    for kind in ("wat", "warc"):
        listing = put(tmp_path, f"{kind}.paths", LINES[0].replace("wet", kind).encode())
        with pytest.raises(ListingError, match=rf"line 1: lists {kind.upper()} files"):
            locations(listing)
    mixed = put(tmp_path, "mixed.paths", f"{LINES[0]}\nand now a text\n".encode())
    with pytest.raises(ListingError, match="line 2: 'and now a text' is not the path of a WET file"):
        locations(mixed)
    wet = put(tmp_path, "one.warc.wet.gz", wet_file("gzip").data)
    with pytest.raises(SourceNotFoundError, match="no listing is among the sources"):
        locations(wet, base="s3://commoncrawl")
    # What is neither a listing nor WET stays a source, of which the reader says what it is.
    other = put(tmp_path, "one.warc.wat.gz", gzip.compress(b"WARC/1.0\r\n"))
    assert locations(other) == [str(other)]


def test_another_identity_for_one_source(tmp_path: Path) -> None:
    path = put(tmp_path, "it.wet.gz", b"")
    assert [source.id for source in discover([str(path)], alias="mine")] == ["mine"]
    put(tmp_path, "two.wet.gz", b"")
    with pytest.raises(SourceNotFoundError, match="--as names one source, but 2 were found"):
        discover([str(tmp_path)], alias="mine")
