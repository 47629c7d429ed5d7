"""An export holds exactly the chosen documents and words, whatever is chosen, and however the table came to be."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.export.corpus import CORPUS, rebatch
from serving.export.export import ExportError, ExportOptions, export
from serving.export.files import OUTPUT_FILES
from serving.export.formats import FORMATS
from serving.export.sorting import sort_rows
from serving.view import View
from tests.export import corpora
from tests.export.corpora import CRAWL, SOURCES, Row


def fitting(rows: list[Row], choice: ExportOptions) -> bool:
    """Whether every source and language that is named is there; others are refused."""
    if not set(choice.languages) <= {row["language"] or "unknown" for row in rows}:
        return False
    plain = [{**row, "language": None} for row in rows]
    met = [any(corpora.is_chosen(row, ExportOptions(sources=(entry,))) for row in plain) for entry in choice.sources]
    return all(met)


@given(rows=corpora.tables(), choice=corpora.choices())
@settings(max_examples=60, deadline=None)
def test_counts_add_up_to_the_frequencies(rows: list[Row], choice: ExportOptions) -> None:
    with tempfile.TemporaryDirectory() as folder:
        documents = corpora.make_table(Path(folder) / "tables", rows)
        if not fitting(rows, choice):
            with pytest.raises(ExportError, match=r"no source of the table|no page of the table is in it"):
                export("ldac", Path(folder) / "out", documents, choice)
            return
        out = corpora.exported(documents, Path(folder) / "out", "ldac", choice)
        expected = corpora.expected(rows, choice)
        words = corpora.vocabulary(out)
        bags = []
        for line in (out / "corpus.ldac").read_text().splitlines():
            number, *pairs = line.split(" ")
            bag = [(int(word), int(n)) for word, n in (pair.split(":") for pair in pairs)]
            assert int(number) == len(bag) and bag == sorted(bag)
            bags.append({words[word]: n for word, n in bag})
        tf: Counter[str] = Counter()
        df: Counter[str] = Counter()
        for bag in bags:
            tf.update(bag)
            df.update(bag.keys())
        assert corpora.frequency(out) == [(word, tf[word], df[word]) for word in words] == expected.words
        assert bags == expected.bags
        assert corpora.documents_of(out) == expected.documents
        counts = json.loads((out / "meta.json").read_text())["counts"]
        assert counts["documents_without_words"] == expected.without_words
        assert (counts["documents"], counts["words"]) == (len(bags), len(words))
        assert (counts["tokens"], counts["entries"]) == (sum(tf.values()), sum(df.values()))


@given(rows=corpora.tables(min_size=2), data=st.data(), form=st.sampled_from(list(FORMATS)))
@settings(max_examples=25, deadline=None)
def test_the_same_documents_give_the_same_bytes(rows: list[Row], data: st.DataObject, form: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = []
        for size in (3, data.draw(st.integers(1, 14))):
            documents = corpora.make_table(Path(folder) / "tables", rows, size)
            found.append(corpora.data_files(corpora.exported(documents, Path(folder) / "out", form, ExportOptions())))
            rows = data.draw(st.permutations(rows))
        assert found[0] == found[1]
        assert found[0].keys() | {"meta.json"} <= OUTPUT_FILES


def test_meta_echoes_the_query_and_the_pipeline(tmp_path: Path) -> None:
    rows = [corpora.row((SOURCES[0], n, 0), {"alpha": 1, "beta": n + 1}, "eng", None) for n in range(4)]
    documents = corpora.make_table(tmp_path / "tables", rows)
    choice = ExportOptions(View(2, 0.9), frozenset([b"zeta"]), ("eng",), ("1.1",))
    meta = export("matrixmarket", tmp_path / "out", documents, choice)
    assert json.loads((tmp_path / "out" / "meta.json").read_text()) == json.loads(json.dumps(meta))
    stop_words = {"words": 1, "sha256": hashlib.sha256(b"zeta").hexdigest()}
    assert meta["options"] == {
        "min_df": 2,
        "max_df": 0.9,
        "stop_words": stop_words,
        "languages": ("eng",),
        "sources": ("1.1",),
    }
    assert (meta["format"], meta["corpus"], meta["first_word"]) == ("matrixmarket", "corpus.mtx", 1)
    assert meta["as_of"] == {
        "pipeline": "main",
        "generation": "g1",
        "profile": "p21",
        "rules_hash": "0",
        "table_version": documents.version,
        "position": {},
    }
    # Both words stand in all four documents, which is not less than 0.9 of them.
    assert meta["counts"] == {
        "documents": 0,
        "documents_without_words": 4,
        "words": 0,
        "words_left_out": 2,
        "tokens": 0,
        "entries": 0,
    }


@pytest.mark.parametrize("form", list(FORMATS))
def test_empty_corpus_can_be_exported(tmp_path: Path, form: str) -> None:
    documents = corpora.make_table(tmp_path / "tables", [])
    out = corpora.exported(documents, tmp_path / "out", form, ExportOptions())
    assert corpora.vocabulary(out) == [] and corpora.documents_of(out) == []


def test_source_is_matched_by_whole_path_components(tmp_path: Path) -> None:
    rows = [corpora.row((CRAWL.format(segment, "a"), 0, 0), {"alpha": 1}, None, None) for segment in ("1.1", "1.11")]
    documents = corpora.make_table(tmp_path / "tables", rows)
    for entry in ("1.1", "crawl-data/CC-MAIN-2016-50/segments/1.1", CRAWL.format("1.1", "a")):
        out = corpora.exported(documents, tmp_path / "out", "p21", ExportOptions(sources=(entry,)))
        assert [source for source, *_ in corpora.documents_of(out)] == [CRAWL.format("1.1", "a")]
    with pytest.raises(ExportError, match=r"--source 1\.2"):
        export("p21", tmp_path / "other", documents, ExportOptions(sources=("1.1", "1.2")))
    assert not (tmp_path / "other").exists()


def corpus_batch(places: list[tuple[str, int, int]]) -> pa.RecordBatch:
    names = ("source", "record_offset", "inner_offset")
    rows = [dict(zip(names, p, strict=True)) | {"ids": [n], "counts": [1]} for n, p in enumerate(places)]
    return pa.RecordBatch.from_pylist(rows, schema=CORPUS)


NAMES = ["é", "b", "B", "日", "a/b", "a"]
PLACES = st.tuples(st.sampled_from(NAMES), st.sampled_from([0, 9, 10, 1 << 40]), st.integers(0, 2))
SIZES = {"run_bytes": st.integers(1, 4_000), "batch_rows": st.integers(1, 5), "fan_in": st.integers(2, 4)}


@given(places=st.lists(PLACES, unique=True, max_size=40), sizes=st.fixed_dictionaries(SIZES))
@settings(max_examples=150, deadline=None)
def test_order_is_by_the_bytes_of_the_source_and_then_by_number(
    places: list[tuple[str, int, int]], sizes: dict[str, int]
) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        batches = [corpus_batch(places[begin : begin + 4]) for begin in range(0, len(places), 4)]
        rows = list(sort_rows(batches, Path(scratch), **sizes))
        assert not list(Path(scratch).iterdir())
    found = [(row["source"], row["record_offset"], row["inner_offset"]) for batch in rows for row in batch.to_pylist()]
    assert found == sorted(places, key=lambda place: (place[0].encode(), *place[1:]))


def test_runs_of_many_batches_are_merged(tmp_path: Path) -> None:
    numbers = np.random.default_rng(5).permutation(20_000)
    batches = [corpus_batch([("s", int(n) // 100, int(n) % 100) for n in part]) for part in np.split(numbers, 40)]
    rows = sort_rows(batches, tmp_path, run_bytes=200_000, batch_rows=64, fan_in=2)
    found = [row["record_offset"] * 100 + row["inner_offset"] for batch in rows for row in batch.to_pylist()]
    assert found == list(range(20_000))


@given(sizes=st.lists(st.integers(1, 9), max_size=6), rows=st.integers(1, 7))
def test_batches_are_balanced(sizes: list[int], rows: int) -> None:
    places = [("s", n, 0) for n in range(sum(sizes))]
    batches = [corpus_batch(places[sum(sizes[:i]) : sum(sizes[: i + 1])]) for i in range(len(sizes))]
    found = list(rebatch(batches, rows))
    assert all(batch.num_rows == rows for batch in found[:-1])
    assert [offset for batch in found for offset in batch["record_offset"].to_pylist()] == list(range(len(places)))
