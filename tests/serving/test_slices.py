"""Slices, points in time and comparisons, against plain counts of the same rows."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2, chi2_contingency

from serving.slices.comparison import Comparison
from serving.slices.count import KEPT, count_slice
from serving.slices.keyness import log_likelihood, log_ratio, significance
from serving.slices.queries import SliceQueries
from serving.slices.slice import Slice, SliceError
from serving.slices.statistics import SliceStatistics
from serving.view import View
from sinks.documents.compaction import compact
from sinks.documents.errors import DocumentsError
from sinks.documents.files import write_document_file
from sinks.documents.hosts import host_of
from sinks.documents.schema import DOCUMENTS
from sinks.documents.table import Documents
from sinks.storage.folder import Folder
from tests.examples import examples
from tests.serving.pipelines import Made, Running
from tests.sinks.batches import expected_words, row

Rows = list[dict[str, Any]]
Chosen = Callable[[dict[str, Any]], bool]
DAYS = [None, datetime(2016, 12, 3, 0, 0, tzinfo=UTC), datetime(2016, 12, 3, 23, 59, 59, 999999, tzinfo=UTC)]
DAYS.append(datetime(2016, 12, 4, tzinfo=UTC))
SOURCES = ["crawl/segments/one/wet/1.gz", "crawl/segments/two/wet/1.gz", "it's.gz"]


def corpus(numbers: Sequence[int]) -> Rows:
    """A row a number, which decides all of it."""
    rows = []
    for number in numbers:
        bag = {"alpha": 1 + number % 3, **({"beta": 2} if number % 2 else {}), f"w{number % 7}": 1}
        rejected = number % 5 == 4
        made = row(number, None if rejected else bag, "too_few_words" if rejected else None, SOURCES[number % 3])
        url = made["url"] and f"http://{made['host']}/{number % 50}"
        rows.append({**made, "url": url, "date": DAYS[number % 4], "language": [None, "eng", "deu"][number % 3]})
    return rows


class Table:
    """A documents table in a folder, written as the sink writes it."""

    def __init__(self, folder: Path) -> None:
        self.cache = folder / "slices"
        self.documents = Documents.create(
            Folder(folder / "table"), {"pipeline": "t", "generation": "g", "profile": "p"}
        )
        self.at = 0

    def add(self, rows: Rows) -> int:
        """Commit a micro-batch; return the version."""
        file = write_document_file(
            self.documents.location, pa.Table.from_pylist(rows, schema=DOCUMENTS), compression_level=1
        )
        self.at += len(rows)
        self.documents.commit([file], {"t/0": self.at})
        return self.documents.version

    def slice(self, text: str = "now") -> SliceStatistics:
        return SliceStatistics(count_slice(self.documents, Slice.parse(text), self.cache))


def answers(statistics: SliceStatistics) -> dict[str, Any]:
    return {
        "stats": statistics.stats(View(2, 0.9)),
        "top": statistics.top(100, by="df"),
        "words": statistics.vocabulary().to_pylist(),
        "lengths": statistics.lengths(),
        "sources": statistics.sources(),
        **{name: statistics.pages_by(name) for name in ("languages", "tlds", "days")},
    }


def assert_counts(statistics: SliceStatistics, rows: Rows) -> None:
    """The numbers are those of the rows, counted plainly."""
    kept = [r for r in rows if r["reason"] is None]
    tf, df = expected_words(rows)
    stats = statistics.stats()
    assert {name: stats[name] for name in ("records", "documents", "tokens", "words", "payload_bytes")} == {  # type: ignore[literal-required]
        "records": len(rows),
        "documents": len(kept),
        "tokens": sum(tf.values()),
        "words": len(tf),
        "payload_bytes": sum(r["payload_bytes"] for r in rows),
    }
    assert stats["rejected"] == ({"too_few_words": len(rows) - len(kept)} if len(rows) > len(kept) else {})
    ranked = sorted(tf, key=lambda word: (-tf[word], word.encode()))
    assert statistics.top(1000)["words"] == [{"word": w, "tf": tf[w], "df": df[w]} for w in ranked]
    for word in ("alpha", "w3", "nowhere"):
        found = statistics.word(word)
        assert (found["tf"], found["df"]) == (tf[word], df[word])
        assert found["rank"] == (ranked.index(word) + 1 if word in tf else None)
        assert found["idf"] == (round(math.log(len(kept) / df[word]), 6) if word in tf else None)
    languages = Counter(r["language"] or "unknown" for r in rows)
    assert {each["name"]: each["pages"] for each in statistics.pages_by("languages")["languages"]} == languages  # type: ignore[typeddict-item]


CHOICES: list[tuple[str, Chosen]] = [
    ("now", lambda r: True),
    ("segment=one", lambda r: "/one/" in r["source"]),
    ("source=it's.gz,segment=two", lambda r: "/one/" not in r["source"]),
    ("language=de", lambda r: r["language"] == "deu"),
    ("language=unknown,language=eng", lambda r: r["language"] != "deu"),
    ("tld=org", lambda r: r["host"] == "example.org"),
    ("tld=.UK,tld=address", lambda r: r["host"] in ("a.b.co.uk", "127.0.0.1")),
    ("tld=unknown", lambda r: r["host"] is None),
    ("host=example.org,host=127.0.0.1", lambda r: r["host"] in ("example.org", "127.0.0.1")),
    ("day=2016-12-03", lambda r: r["date"] in DAYS[1:3]),
    ("day=2016-12-03..2016-12-04", lambda r: r["date"] is not None),
    ("segment=one,language=eng", lambda r: False),
    ("segment=two,tld=uk", lambda r: "/two/" in r["source"] and r["host"] == "a.b.co.uk"),
]


REPEATS = [
    ("http://www.a.example:80/x/", "2016-12-03", None, {"alpha": 1}),
    ("https://a.example/x#part", "2016-12-01", "not_language", None),
    ("HTTP://A.example/x", "2016-12-02", None, {"beta": 2}),
    ("http://a.example:8080/x", None, None, {"alpha": 1}),
    ("http://a.example/X", "2016-12-05", None, {"alpha": 1}),
    ("http://b.example/?q=1", "2016-12-01", "too_few_words", None),
    ("http://b.example?q=1", "2016-12-02", "too_few_words", None),
    ("http:/c.example/1", "2016-12-02", None, {"gamma": 1}),
    ("http:/c.example/2", "2016-12-02", None, {"gamma": 2}),
    (None, None, "truncated", None),
    (None, None, "truncated", None),
]


@pytest.mark.parametrize(
    ("text", "counted"),
    [
        ("once=url", [2, 3, 4, 5, 7, 8, 9, 10]),
        ("once=url-latest", [0, 3, 4, 6, 7, 8, 9, 10]),
        ("once=bag", [0, 1, 2, 5, 6, 7, 8, 9, 10]),
        ("once=bag-latest", [1, 2, 4, 5, 6, 7, 8, 9, 10]),
        ("once=url,day=2016-12-03..2016-12-05", [0, 4]),
        ("once=url,tld=example,language=eng", [2, 3, 4, 5, 7, 8]),
    ],
)
def test_pages_that_come_again_are_counted_once(tmp_path: Path, text: str, counted: list[int]) -> None:
    rows = []
    for number, (url, day, reason, bag) in enumerate(REPEATS):
        date = None if day is None else datetime.fromisoformat(f"{day}T00:00+00:00")
        made = row(number, bag, reason, SOURCES[number % 2])
        page = {"url": url, "host": host_of(url), "date": date, "language": "eng" if url else None}
        rows.append({**made, **page, "record_offset": number, "inner_offset": 0})
    table = Table(tmp_path)
    table.add(rows[:6])
    table.add(rows[6:])
    found = table.slice(text)
    assert Slice.parse(str(found.slice)) == found.slice
    stats = found.stats()
    chosen = [rows[number] for number in counted]
    assert (stats["records"], stats["documents"]) == (len(chosen), sum(r["reason"] is None for r in chosen))
    assert {each["word"]: each["tf"] for each in found.top(10)["words"]} == dict(expected_words(chosen)[0])


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Table:
    """Three micro-batches of forty rows."""
    made = Table(tmp_path_factory.mktemp("slices"))
    for begin in (0, 40, 80):
        made.add(corpus(range(begin, begin + 40)))
    return made


def test_http_answers_about_slices_as_python_does(table: Table, made: Made, serve: Callable[..., Running]) -> None:
    server = serve(slices=SliceQueries(lambda: table.documents, table.cache))
    part = table.slice("segment=one,segment=two,language=de")
    query = "segment=one&crawl=two&language=de"
    assert server.get(f"/api/v1/stats?{query}&min_df=2") == part.stats(View(2))
    assert server.get(f"/api/v1/vocabulary?{query}") == part.vocabulary_size()
    assert server.get(f"/api/v1/words/top?{query}&limit=3&by=df") == part.top(3, by="df")
    assert server.get(f"/api/v1/words/Alpha?{query}") == part.word("alpha")
    assert server.get(f"/api/v1/words?word=w3&word=no&{query}") == part.words(["w3", "no"])
    assert server.get(f"/api/v1/lengths?{query}") == part.lengths()
    assert server.get(f"/api/v1/rejected?{query}") == part.rejected()
    for dimension in ("languages", "tlds", "days"):
        assert server.get(f"/api/v1/{dimension}?{query}") == part.pages_by(dimension)
    for path in ("zipf", "words/bottom", "words/search?prefix=w", "vocabulary/frequencies"):
        found = server.get(f"/api/v1/{path}{'&' if '?' in path else '?'}{query}")
        assert found["as_of"]["time"] == part.as_of()["time"]
    first = server.http.get("/api/v1/stats?as_of=1&tld=org")
    assert first.json() == table.slice("as-of=1,tld=org").stats()
    again = server.http.get("/api/v1/stats?as_of=1&tld=org", headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304
    for wrong in ("as_of=99", "as_of=never", "segment=nowhere", "day=today", "as_of=0001-01-01T00:00%2B23:59"):
        assert server.get(f"/api/v1/stats?{wrong}", 422)["error"] == "no_such_slice", wrong


@pytest.mark.parametrize(("text", "chosen"), CHOICES)
def test_slice_counts_its_rows_and_no_others(table: Table, text: str, chosen: Chosen) -> None:
    rows = [r for r in corpus(range(120)) if chosen(r)]
    counted = table.slice(text)
    assert_counts(counted, rows)
    # What was counted before is read back.
    files = sorted(table.cache.iterdir())
    assert answers(table.slice(text)) == answers(counted)
    assert sorted(table.cache.iterdir()) == files
    # As text, a slice means the same.
    assert Slice.parse(str(Slice.parse(text))) == Slice.parse(text)


def test_every_version_answers_as_it_did_when_it_was_the_newest(tmp_path: Path) -> None:
    table = Table(tmp_path)
    batches = [corpus(range(3, 30, 3)), corpus(range(30, 60)), corpus([*range(0, 30, 3), *range(60, 70)])]
    then = {}
    for rows in batches:
        version = table.add(rows)
        then[version] = answers(table.slice())
    compact(table.documents, target_bytes=1 << 20, compression_level=1)
    assert table.documents.version > max(then) and len(table.documents.files()) == 1
    for file in table.cache.iterdir():
        file.unlink()
    for number, (version, expected) in enumerate(then.items()):
        past = table.slice(f"as-of={version}")
        assert answers(past) == expected
        assert_counts(past, [r for rows in batches[: number + 1] for r in rows])
        # By the time of its commit, too.
        time = datetime.fromtimestamp(past.as_of()["time"] or 0, UTC)
        assert table.slice(f"as-of={time.isoformat()}").table_version == version
    assert answers(table.slice("as-of=now"))["words"] == then[max(then)]["words"]
    with pytest.raises(SliceError, match="begins at"):
        table.slice("as-of=2001-01-01")
    with pytest.raises(DocumentsError, match="its newest one is"):
        table.slice("as-of=99")


def test_after_a_source_is_the_first_version_that_has_all_of_it(tmp_path: Path) -> None:
    table = Table(tmp_path)
    versions = [table.add([row(n, {"alpha": 1}, source=source)]) for n, source in enumerate("aabacc")]
    expected = {"a": versions[3], "b": versions[2], "c": versions[5]}
    for source, version in expected.items():
        assert table.slice(f"as-of=after {source}").table_version == version
    with pytest.raises(SliceError, match="no source of the documents matches d"):
        table.slice("as-of=after d")


def test_version_whose_files_were_vacuumed_is_refused_by_name(tmp_path: Path) -> None:
    table = Table(tmp_path)
    version = table.add(corpus(range(10)))
    table.add(corpus(range(10, 20)))
    compact(table.documents, target_bytes=1 << 20, compression_level=1)
    table.documents.vacuum(0, dry_run=False)
    assert_counts(table.slice(), corpus(range(20)))
    with pytest.raises(SliceError, match=f"version {version} of the documents cannot be counted any more: .*vacuum"):
        table.slice(f"as-of={version}")


def test_cache_that_is_cut_is_counted_again_and_holds_a_bounded_number_of_slices(tmp_path: Path) -> None:
    table = Table(tmp_path)
    table.add(corpus(range(20)))
    expected = answers(table.slice())
    (file,) = table.cache.iterdir()
    file.write_bytes(file.read_bytes()[:100])
    assert answers(table.slice()) == expected
    for number in range(KEPT + 3):
        table.slice(f"host=h{number}.example")
    assert len(list(table.cache.iterdir())) == KEPT


def test_empty_table_and_empty_sides(tmp_path: Path) -> None:
    table = Table(tmp_path)
    assert_counts(table.slice(), [])
    nothing = Comparison(table.slice(), table.slice())
    assert nothing.words().num_rows == 0 and nothing.urls == {"a": 0, "b": 0, "both": 0}
    table.add(corpus(range(20)))
    answer = Comparison(table.slice(), table.slice("language=fra")).answer()
    assert answer["new_words"] == 0 and answer["gone_words"] == answer["a"]["words"] > 0
    assert all(each["g2"] == 0 for each in answer["words"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no slice"),
        ("segment", "is no slice"),
        ("segment=", "is no slice"),
        ("colour=red", "is no slice"),
        ("day=2016-13-01", "is no day"),
        ("day=2016-1-1", "is no day"),
        ("day=2016-12-02..2016-12-01", "ends before it begins"),
        ("day=2016-12-02,day=2016-12-03", "a slice has one of these"),
        ("as-of=1,as-of=2", "a slice has one of these"),
        ("as-of=yesterday", "is no point in time"),
        ("as-of=-1", "is no point in time"),
        ("segment=three", "no source of the documents matches three"),
    ],
)
def test_what_is_no_slice_is_refused(table: Table, text: str, message: str) -> None:
    with pytest.raises(SliceError, match=message):
        table.slice(text)


@given(st.text(min_size=1, max_size=12))
@examples(60)
@pytest.mark.fuzz
def test_text_in_a_slice_never_becomes_sql(table: Table, text: str) -> None:
    """Whatever a name holds, it chooses the rows that have it: here none."""
    rows = [r for r in corpus(range(120)) if r["host"] == text.lower()]
    try:
        counted = count_slice(table.documents, Slice.make(hosts=[text, "' or true --"]), table.cache)
    except SliceError:
        assert "\0" in text
    else:
        assert counted.counts["totals"].get("records", 0) == len(rows)


def test_comparison_equals_an_independent_count(table: Table) -> None:
    comparison = Comparison(table.slice("segment=one"), table.slice("segment=two,source=it's.gz"))
    rows = corpus(range(120))
    sides = [[r for r in rows if ("/one/" in r["source"]) == first] for first in (True, False)]
    (tf_a, df_a), (tf_b, df_b) = (expected_words(side) for side in sides)
    totals = sum(tf_a.values()), sum(tf_b.values())
    found = comparison.words().to_pylist()
    assert {each["word"] for each in found} == set(tf_a) | set(tf_b)
    for each in found:
        word = each["word"]
        assert (each["tf_a"], each["tf_b"], each["df_a"], each["df_b"]) == (
            tf_a[word],
            tf_b[word],
            df_a[word],
            df_b[word],
        )
        assert each["per_million_a"] == pytest.approx(1e6 * tf_a[word] / totals[0])
        # scipy's G-test is over the table of four cells; ours, as the paper has it, over the two cells of the word.
        counts = [[tf_a[word], tf_b[word]], [totals[0] - tf_a[word], totals[1] - tf_b[word]]]
        four = chi2_contingency(counts, correction=False, lambda_="log-likelihood").statistic
        expected = [total * (tf_a[word] + tf_b[word]) / sum(totals) for total in totals]
        rest = sum(
            2 * (total - n) * math.log((total - n) / (total - e))
            for n, total, e in zip((tf_a[word], tf_b[word]), totals, expected, strict=True)
        )
        assert abs(each["g2"]) == pytest.approx(four - rest, abs=1e-9)
        assert each["p"] == pytest.approx(chi2.sf(abs(each["g2"]), 1))
    assert [each["g2"] for each in found] == sorted((each["g2"] for each in found), reverse=True)
    urls = [{r["url"] for r in side if r["reason"] is None and r["url"]} for side in sides]
    assert 0 < len(urls[0] & urls[1]) < min(map(len, urls))
    assert comparison.urls == {"a": len(urls[0]), "b": len(urls[1]), "both": len(urls[0] & urls[1])}
    pages = {each["name"]: (each["pages_a"], each["pages_b"]) for each in comparison.shares("languages")}
    sought = [Counter(r["language"] or "unknown" for r in side) for side in sides]
    assert pages == {name: (sought[0][name], sought[1][name]) for name in sought[0] | sought[1]}
    few = comparison.words(limit=2, min_df=5)
    assert few.num_rows == 4 and all(
        a + b >= 5 for a, b in zip(few["df_a"].to_pylist(), few["df_b"].to_pylist(), strict=True)
    )


def test_keyness_by_hand() -> None:
    a, b = np.array([39, 5, 0]), np.array([11, 5, 7])
    g2 = log_likelihood(a, b, 10_000, 10_000)
    assert g2[0] == pytest.approx(2 * (39 * math.log(39 / 25) + 11 * math.log(11 / 25)))
    assert g2[1] == 0 and g2[2] == pytest.approx(-2 * 7 * math.log(2))
    assert log_ratio(a, b, 10_000, 10_000) == pytest.approx([math.log2(39 / 11), 0, math.log2(0.5 / 7)])
    assert significance(np.array([3.841458820694124, -6.634896601021213])) == pytest.approx([0.05, 0.01])
