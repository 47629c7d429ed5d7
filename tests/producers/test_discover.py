"""From names to sources: folders, globs, listings in all their forms, and what is selected of them."""

from __future__ import annotations

import gzip
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from conf.errors import ExplainedError
from conf.settings import ProducerSettings, load_settings
from producers.sources.discover import DiscoverOptions, SourceNotFoundError, discover
from producers.sources.follow import Follower
from producers.sources.listing import ListingError, default_base
from producers.sources.source import Source
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
def test_listing_paths_are_relative_to_it_or_to_the_base(name: str, tmp_path: Path) -> None:
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


def test_one_source_under_another_identity(tmp_path: Path) -> None:
    path = put(tmp_path, "it.wet.gz", b"")
    assert [source.id for source in discover([str(path)], alias="mine")] == ["mine"]
    put(tmp_path, "two.wet.gz", b"")
    with pytest.raises(SourceNotFoundError, match="--as names one source, but 2 were found"):
        discover([str(tmp_path)], alias="mine")


def notes_and_sources(*names: object) -> tuple[list[str], list[Source]]:
    notes: list[str] = []
    return notes, discover([str(name) for name in names], keep_going=True, on_note=notes.append)


def test_files_omitted_from_a_folder_are_reported(tmp_path: Path) -> None:
    kept = put(tmp_path, "in/a.wet.gz", b"")
    elsewhere = put(tmp_path, "elsewhere/b.wet.gz", b"").parent
    (tmp_path / "in/linked").symlink_to(elsewhere)
    (tmp_path / "in/loop").symlink_to(tmp_path / "in")
    (tmp_path / "in/again.wet.gz").symlink_to(kept)
    (tmp_path / "in/itself.wet.gz").symlink_to(tmp_path / "in/itself.wet.gz")
    (tmp_path / "in/nowhere.wet.gz").symlink_to(tmp_path / "gone")
    (tmp_path / "in/unmounted").symlink_to(tmp_path / "gone")
    os.mkfifo(tmp_path / "in/pipe.wet.gz")
    notes, found = notes_and_sources(tmp_path / "in")
    assert [source.id for source in found if source.problem is None] == [kept.as_uri()]
    assert sorted(note.removeprefix(f"{tmp_path}/in/").partition(" ")[0] for note in notes) == [
        "linked",
        "loop",
        "unmounted",
    ]
    problems = {Path(source.location).name: source.problem for source in found if source.problem is not None}
    assert sorted(problems) == ["itself.wet.gz", "nowhere.wet.gz", "pipe.wet.gz"]
    assert "Too many levels of symbolic links" in str(problems["itself.wet.gz"])
    assert "is a pipe, not a file" in str(problems["pipe.wet.gz"])


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter: pytest's own are private."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.parametrize("pattern", ["", "*", "**/*.wet.gz", "*/*.wet.gz"])
def test_unreadable_folder_is_reported(pattern: str, open_folder: Path) -> None:
    put(open_folder, "in/a.wet.gz", b"")
    put(open_folder, "in/open/b.wet.gz", b"")
    closed = put(open_folder, "in/closed/c.wet.gz", b"").parent
    closed.chmod(0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)  # root may read everything
    try:
        _, found = notes_and_sources(open_folder / "in" / pattern)
    finally:
        os.seteuid(user)
        closed.chmod(0o755)
    problems = [source.problem for source in found if source.problem is not None]
    assert problems == [f"{closed} cannot be read: Permission denied"]
    assert any(source.location.endswith("open/b.wet.gz") for source in found)


def test_one_bad_name_never_stops_the_others(tmp_path: Path) -> None:
    good = put(tmp_path, "good.wet.gz", b"")
    (tmp_path / "empty").mkdir()
    (tmp_path / "loop.wet.gz").symlink_to(tmp_path / "loop.wet.gz")
    bad = ["gone.wet.gz", "", "~nobody-of-this-name/x", "x" * 5_000, "a\0b", "nokind://x/names", "/dev/null"]
    names = [*bad, tmp_path / "empty", tmp_path / "loop.wet.gz", tmp_path / "*.wat", "http://127.0.0.1:9/folder/"]
    for name in names:
        with pytest.raises(ExplainedError):
            discover([str(name)], keep_going=True, settings=impatient())
    found = discover([str(name) for name in [*names[:3], good, *names[3:]]], keep_going=True, settings=impatient())
    assert [source.location for source in found if source.problem is None] == [str(good)]
    assert len({source.id for source in found}) == len(names) + 1
    assert all(source.name.isprintable() for source in found)


def impatient() -> ProducerSettings:
    return load_settings(flags={"producer.source_timeout_s": 1, "producer.source_retry_s": 1}, environ={}).producer


def test_sources_sharing_an_identity_are_reported(tmp_path: Path) -> None:
    one, other = (put(tmp_path, f"{mirror}/{LINES[0]}", mirror.encode()) for mirror in ("a", "b"))
    notes, found = notes_and_sources(tmp_path)
    assert [source.location for source in found] == [str(one)]
    assert len(notes) == 1
    assert f"{other} (as {one})" in notes[0]
    # The same file named twice is no loss.
    assert notes_and_sources(one, one.parent, one)[0] == []


@pytest.mark.parametrize("alias", ["", " ", " a", "a\n", "a\x1b[1m", "\udc80", "a" * 2_000])
def test_invalid_name_is_refused(alias: str, tmp_path: Path) -> None:
    with pytest.raises(SourceNotFoundError, match=r"--as .* is no name for a source"):
        discover([str(put(tmp_path, "it.wet.gz", b""))], alias=alias)


def test_names_with_colons_and_in_capitals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "a::b.WET.GZ", b"")
    put(tmp_path, "c#1?.wet.gz", b"")
    monkeypatch.chdir(tmp_path)
    assert locations("a::b.WET.GZ") == ["a::b.WET.GZ"]
    assert locations(f"file://{tmp_path}/c#1?.wet.gz") == [f"{tmp_path}/c#1?.wet.gz"]
    assert len(locations(tmp_path)) == 2


def test_follow_continues_beside_empty_or_bad_sources(tmp_path: Path) -> None:
    settings = load_settings(flags={"producer.follow_rest_s": 0}, environ={}).producer
    names = [tmp_path / name for name in ("a", "b", "names")]
    names[0].mkdir()
    names[1].mkdir()
    follower = Follower([*map(str, names), "https://[bad/names"], DiscoverOptions(), settings)
    assert follower.poll() == []
    first = put(tmp_path, "a/1.wet.gz", b"")
    put(tmp_path, "names", b"\xef\xbb\xbfc.wet.gz\nno path\n")
    third = put(tmp_path, "c.wet.gz", b"")
    assert [source.location for source in follower.poll()] == [str(first), str(third)]
    second = put(tmp_path, "b/2.wet.gz", b"")
    assert [source.location for source in follower.poll()] == [str(second)]
