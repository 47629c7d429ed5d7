"""Words by period against plain counts, and departures against an independent computation of the statistic."""

from __future__ import annotations

import math
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.stats import chi2_contingency

from serving.slices.slice import Slice
from serving.slices.trends import Period, Trends, count_trends
from sinks.documents.files import write_document_file
from sinks.documents.schema import DOCUMENTS
from sinks.documents.table import Documents
from sinks.storage.folder import Folder
from tests.sinks.batches import WORDS, row
from wetstream.commands.terminal.trends import sparkline

FIRST = datetime(2016, 12, 1, 23, 59, tzinfo=UTC)
# Named against the order of their first documents.
SEGMENTS = ["z", "y", "x", None]


@st.composite
def corpora(draw: st.DrawFn) -> list[dict[str, Any]]:
    rows = []
    for number in range(draw(st.integers(0, 30))):
        bag = draw(st.dictionaries(st.sampled_from(WORDS), st.integers(1, 5), min_size=1, max_size=6))
        day = draw(st.sampled_from([0, 1, 2, None]))
        segment = SEGMENTS[3 if day is None else day]
        source = "else.gz" if segment is None else f"crawl-data/C/segments/{segment}/wet/1.warc.wet.gz"
        date = None if day is None else FIRST + timedelta(days=day)
        rejected = draw(st.sampled_from([None, None, None, "too_few_words"]))
        rows.append({**row(number, None if rejected else bag, rejected, source), "date": date})
    return rows


def table_of(folder: Path, rows: list[dict[str, Any]]) -> Documents:
    documents = Documents.create(Folder(folder), {"pipeline": "t", "generation": "g"})
    for part in (rows[::2], rows[1::2]):
        if part:
            table = pa.Table.from_pylist(part, schema=DOCUMENTS)
            documents.commit([write_document_file(documents.location, table, compression_level=1)], {"t/0": len(rows)})
    return documents


def likelihood_ratio(a: int, n: int, b: int, m: int) -> float:
    """G of a table of two rows, with and without the word, by scipy."""
    if (a + b) in (0, n + m):
        return 0.0
    found = chi2_contingency([[a, b], [n - a, m - b]], correction=False, lambda_="log-likelihood")
    return math.copysign(float(found.statistic), a * m - b * n)


@pytest.mark.parametrize("by", ["day", "segment"])
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=corpora(), least=st.integers(1, 3))
def test_trends_are_those_of_the_rows(
    tmp_path_factory: pytest.TempPathFactory, by: Period, rows: list[dict[str, Any]], least: int
) -> None:
    kept = [r for r in rows if r["reason"] is None and r["date"] is not None]
    names = [f"{FIRST + timedelta(days=day):%Y-%m-%d}" for day in range(3)] if by == "day" else SEGMENTS[:3]
    of = [(r["date"] - FIRST).days for r in kept]
    present = sorted(set(of))
    trends = count_trends(table_of(tmp_path_factory.mktemp("t"), rows), Slice.make(), by, min_df=least)
    assert trends.periods == [names[day] for day in present]
    assert trends.documents.tolist() == [of.count(day) for day in present]
    df = {day: Counter(w for r, d in zip(kept, of, strict=True) if d == day for w in r["words"]) for day in present}
    expected: dict[str, float] = {}
    for word in WORDS:
        if sum(counts[word] for counts in df.values()) < least:
            assert word not in trends.words.to_pylist()
            continue
        curve = trends.curve(word)
        assert [each["df"] for each in curve] == [df[day][word] for day in present]
        for number, each in enumerate(curve):
            before = present[:number]
            past, total = sum(df[day][word] for day in before), sum(of.count(day) for day in before)
            if before:
                g2 = likelihood_ratio(each["df"], each["documents"], past, total)
                assert each["g2"] == pytest.approx(g2, abs=1e-9)
                assert each["expected"] == pytest.approx(each["documents"] * past / total)
            else:
                assert each["g2"] is None
        if len(present) > 1:
            expected[word] = max(abs(each["g2"]) for each in curve[1:])
    found = trends.departures(None).to_pylist()
    assert {each["word"]: abs(each["g2"]) for each in found} == pytest.approx(expected, abs=1e-9)
    assert [abs(each["g2"]) for each in found] == sorted((abs(each["g2"]) for each in found), reverse=True)
    for each in found:
        assert each["curve"] == [step["share"] for step in trends.curve(each["word"])]


def test_only_the_words_that_are_asked_for(tmp_path: Path) -> None:
    rows = [{**row(n, {"alpha": 1, f"w{n}": 1}), "date": FIRST + timedelta(days=n)} for n in range(3)]
    documents = table_of(tmp_path / "g", rows)
    trends: Trends = count_trends(documents, Slice.parse("day=2016-12-02..2016-12-03"), "day", words=["Alpha", "w0"])
    assert trends.words.to_pylist() == ["alpha"] and trends.periods == ["2016-12-02", "2016-12-03"]
    assert [each["df"] for each in trends.curve("w0")] == [0, 0]
    assert [each["log_ratio"] for each in trends.curve("w0")] == [None, 0.0]
    (only,) = trends.departures().to_pylist()
    assert (only["period"], only["g2"]) == ("2016-12-03", 0.0), "never the first period, which has no past"


def test_sparklines_fit_and_survive_any_encoding() -> None:
    assert sparkline([0, 1, 2, 4], "utf-8") == "▁▃▅█"
    assert sparkline([0.0] * 500, "ascii") == "_" * 30
    assert sparkline([], "utf-8") == ""
