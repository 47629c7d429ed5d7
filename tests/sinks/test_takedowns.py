"""Pages taken down: which ones, what is left of them, and that neither the rows nor the counts keep anything else."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conf.reasons import TAKEN_DOWN
from sinks.documents.exclusions import Exclusion
from sinks.documents.files import write_document_file
from sinks.documents.hosts import host_of, hosts_of
from sinks.documents.schema import DOCUMENTS
from sinks.documents.table import Documents
from sinks.documents.takedowns import CLEARED, Takedown, TakedownError, TakedownKind, TakedownMatcher
from sinks.removal import finish_removal
from sinks.statistics.sums import Sums, add, negated
from sinks.storage.folder import Folder
from tests.sinks.batches import documents as documents_rows
from tests.sinks.batches import row, sums_of

URLS = [
    "http://example.org/x",
    "HTTP://Example.ORG:80/a/../x#top",
    "https://example.org/x",
    "https://a.b.co.uk:80/?q",
    "https://b.co.uk/",
    "https://notb.co.uk/",
    "http://127.0.0.1/",
    "http://xn--bcher-kva.example/",
    "mailto:someone@example.org",
    "no url",
    None,
]
GIVEN = [
    (TakedownKind.URL, "http://example.org/x"),
    (TakedownKind.URL, "https://B.co.uk"),
    (TakedownKind.HOST, "Example.org"),
    (TakedownKind.HOST, "b.co.uk"),
    (TakedownKind.HOST, ".b.co.uk"),
    (TakedownKind.HOST, "bücher.example"),
    (TakedownKind.PATTERN, r"^https://[^/]*\.uk[:/]"),
    (TakedownKind.PATTERN, "(?i)example"),
]


def fits(takedown: Takedown, url: str | None) -> bool:
    """Whether a takedown fits a URL, said plainly for the URLs above."""
    host = host_of(url)
    if url is None:
        return False
    if takedown.kind == TakedownKind.PATTERN:
        return re.search(takedown.value, url) is not None
    if host is None:
        return False
    if takedown.kind == TakedownKind.HOST:
        return host == takedown.value.lstrip(".") or (takedown.value.startswith(".") and host.endswith(takedown.value))
    normal = {"HTTP://Example.ORG:80/a/../x#top": "http://example.org/x", "https://b.co.uk": "https://b.co.uk/"}
    return takedown.value == normal.get(url, url)


@given(chosen=st.lists(st.sampled_from(GIVEN), max_size=4), urls=st.lists(st.sampled_from(URLS), max_size=20))
def test_the_matcher_agrees_with_each_takedown_alone(
    chosen: list[tuple[TakedownKind, str]], urls: list[str | None]
) -> None:
    takedowns = [Takedown.make(kind, value) for kind, value in chosen]
    matcher = TakedownMatcher(takedowns)
    assert bool(matcher) == bool(chosen)
    mask = matcher.match(pa.array(urls, pa.string()), hosts_of(urls))
    assert mask.to_pylist() == [any(fits(takedown, url) for takedown in takedowns) for url in urls]


def test_what_cannot_be_meant_is_refused() -> None:
    for kind, value, why in (
        (TakedownKind.URL, "example.org/x", "is no URL with a host"),
        (TakedownKind.HOST, "http://example.org/", "is no host"),
        (TakedownKind.HOST, "", "is no host"),
        (TakedownKind.PATTERN, "(", "RE2 syntax: missing"),
        (TakedownKind.PATTERN, "(a)\\1", "RE2 syntax"),
        (TakedownKind.PATTERN, ".*", "fits every URL"),
    ):
        with pytest.raises(TakedownError, match=re.escape(why) if why != "RE2 syntax" else why):
            Takedown.make(kind, value)


def table_of(folder: str | Path, *files: list[dict[str, Any]]) -> Documents:
    table = Documents.create(Folder(Path(folder) / "g1"), {"profile": "p21"})
    table.bind_topic("records", "id", 1)
    for number, rows in enumerate(filter(None, files)):
        written = write_document_file(table.location, pa.Table.from_pylist(rows, schema=DOCUMENTS), compression_level=1)
        table.commit([written], {"id/0": number + 1})
    return table


def contents(table: Documents) -> list[dict[str, Any]]:
    return sorted(
        (found for batch in table.scan() for found in batch.to_pylist()), key=lambda row: int(row["topic_offset"])
    )


def cleared(row: dict[str, Any]) -> dict[str, Any]:
    return row | dict.fromkeys(CLEARED) | {"reason": TAKEN_DOWN, "tokens": 0}


def plain(sums: Sums) -> Any:
    """What is not zero, to compare."""
    words = [tuple(each.values()) for each in sums.words.to_pylist()]
    named = (sums.lengths, sums.sources, sums.languages, sums.tlds, sums.days)
    return words, [{key: n for key, n in counts.items() if (any(n) if isinstance(n, tuple) else n)} for counts in named]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25)
@given(rows=documents_rows(), chosen=st.lists(st.sampled_from(GIVEN), min_size=1, max_size=2), source=st.booleans())
def test_rows_and_counts_after_a_takedown(
    rows: list[dict[str, Any]], chosen: list[tuple[TakedownKind, str]], source: bool
) -> None:
    """Also together with the removal of a source, and done again."""
    takedowns = [Takedown.make(kind, value) for kind, value in chosen]
    removed = {"a": (0, 1_000)} if source else {}
    kept = [each for each in rows if not (source and each["source"] == "a")]
    down = [any(fits(takedown, each["url"]) for takedown in takedowns) for each in kept]
    expected = [cleared(each) if hit else each for each, hit in zip(kept, down, strict=True)]
    with tempfile.TemporaryDirectory() as folder:
        table = table_of(folder, rows[::2], rows[1::2])
        table.plan_removal(removed, takedowns=takedowns)
        change = finish_removal(Documents.open(table.location), compression_level=1)
        table = Documents.open(table.location)
        assert contents(table) == expected
        assert plain(change.change) == plain(add(sums_of(expected), negated(sums_of(rows))))
        assert change.records == len(rows) - len(kept) + sum(down)
        assert table.position()["removals"] == 1 and not any(table.planned_removal())
        table.plan_removal({}, takedowns=takedowns)
        again = finish_removal(table, compression_level=1)
        assert again.records == 0 and contents(Documents.open(table.location)) == expected


def test_takedowns_are_kept_beside_exclusions(tmp_path: Path) -> None:
    table = table_of(tmp_path)
    host = Takedown.make(TakedownKind.HOST, "example.org")
    table.plan_removal({"a": (0, 10)})
    (before,) = (tmp_path / "g1" / "_exclusions").iterdir()
    assert "kind" not in pq.read_schema(before).names, "versions without takedowns can read it"
    table.plan_removal({}, takedowns=[host])
    table = Documents.open(table.location)
    assert table.takedowns() == [Takedown(TakedownKind.HOST, "example.org", 1)]
    assert table.exclusions() == [Exclusion("a", 0, 10, 1)]
    finish_removal(table, compression_level=1)
    following = Documents.create(Folder(tmp_path / "g2"), {})
    following.inherit(table.exclusions(), table.takedowns())
    assert [each.value for each in following.takedowns()] == ["example.org"] and not any(following.planned_removal())


def test_no_word_of_a_page_is_left_in_new_files(tmp_path: Path) -> None:
    """Also not in dictionaries, which a file could carry on although no row needs their entries."""
    table = table_of(tmp_path, [row(0, {"alpha": 1, "secret": 2}), row(1, {"alpha": 3})])
    table.plan_removal({}, takedowns=[Takedown.make(TakedownKind.URL, "http://example.org/x")])
    finish_removal(table, compression_level=1)
    (path,) = Documents.open(table.location).file_paths()
    words = pq.ParquetFile(path, read_dictionary=["words.list.element"]).read()["words"].combine_chunks()
    assert words.values.dictionary.to_pylist() == ["alpha"]
