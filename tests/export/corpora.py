"""Documents tables made at random, and what an export of them has to be, counted plainly."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

from conf.profiles import Rules
from serving.export.export import ExportOptions, export
from serving.view import View
from sinks.documents.files import write_document_file
from sinks.documents.generations import Generations
from sinks.documents.schema import DOCUMENTS
from sinks.documents.table import Documents

CRAWL = "crawl-data/CC-MAIN-2016-50/segments/{}/wet/{}.warc.wet.gz"
SOURCES = [CRAWL.format("1.1", "a"), CRAWL.format("1.1", "b"), CRAWL.format("2.2", "a"), "file:///x/ä.warc.wet.gz"]
WORDS = ["alpha", "beta", "gamma", "delta", "e-mail", "it's", "zeta", "été", "日本", "z"]
LANGUAGES = [None, "eng", "deu"]

Row = dict[str, Any]


@st.composite
def tables(draw: st.DrawFn, min_size: int = 0) -> list[Row]:
    """Rows of records, each at a place of its own; kept ones may have an empty bag."""
    places = draw(
        st.lists(
            st.tuples(st.sampled_from(SOURCES), st.sampled_from([0, 9, 10, 1 << 40]), st.integers(0, 2)),
            min_size=min_size,
            max_size=14,
            unique=True,
        )
    )
    rows = []
    for place in places:
        bag = draw(st.dictionaries(st.sampled_from(WORDS), st.integers(1, 5), max_size=6))
        reason = draw(st.sampled_from([None, None, None, None, "too_few_words", "not_language", "truncated"]))
        rows.append(row(place, bag if reason is None else None, draw(st.sampled_from(LANGUAGES)), reason))
    return rows


@st.composite
def choices(draw: st.DrawFn) -> ExportOptions:
    entries = [*SOURCES, "1.1", "CC-MAIN-2016-50", "crawl-data/CC-MAIN-2016-50/segments/2.2/", "file:///x"]
    view = View(draw(st.integers(1, 3)), draw(st.sampled_from([None, 1.0, 0.75, 0.5])))
    return ExportOptions(
        view,
        frozenset(word.encode() for word in draw(st.sets(st.sampled_from(WORDS), max_size=2))),
        tuple(draw(st.sets(st.sampled_from(["eng", "deu", "unknown"]), max_size=2))),
        tuple(draw(st.sets(st.sampled_from(entries), max_size=2))),
    )


DESCRIBED = ("source", "record_offset", "inner_offset", "url", "record_id", "date", "language")


def row(place: tuple[str, int, int], bag: dict[str, int] | None, language: str | None, reason: str | None) -> Row:
    source, record_offset, inner_offset = place
    return {
        "source": source,
        "record_offset": record_offset,
        "inner_offset": inner_offset,
        "next_offset": record_offset + 1,
        "next_inner": 0,
        "topic_partition": None,
        "topic_offset": None,
        "records": 1,
        "record_id": f"<urn:{source}:{record_offset}>" if inner_offset else None,
        "url": f"http://example.org/{source}/{record_offset}" if inner_offset else None,
        "host": "example.org" if inner_offset else None,
        "date": datetime(2024, 2, 3, tzinfo=UTC) if inner_offset else None,
        "language": language,
        "language_method": None,
        "reason": reason,
        "tokens": sum(bag.values()) if bag else 0,
        "words": None if bag is None else list(bag),
        "counts": None if bag is None else list(bag.values()),
        "payload_bytes": 10,
    }


def make_table(folder: Path, rows: Sequence[Row], rows_a_file: int = 3) -> Documents:
    """A documents table of these rows in this order; replaced if there is one."""
    shutil.rmtree(folder, ignore_errors=True)
    generations = Generations(folder, "main")
    documents = generations.open_or_create(Rules("p21", "0")).documents
    for number, begin in enumerate(range(0, len(rows), rows_a_file), 1):
        table = pa.Table.from_pylist(list(rows[begin : begin + rows_a_file]), schema=DOCUMENTS)
        documents.commit([write_document_file(documents.location, table, compression_level=1)], {"t/0": number})
    return documents


@dataclass
class Expected:
    """A corpus: words with tf and df, and of each document what is told of it (DESCRIBED) and its bag by word."""

    words: list[tuple[str, int, int]]
    documents: list[tuple[Any, ...]]
    bags: list[dict[str, int]]
    without_words: int


def expected(rows: Sequence[Row], choice: ExportOptions) -> Expected:
    chosen = [each for each in rows if each["reason"] is None and is_chosen(each, choice)]
    chosen.sort(key=lambda each: (each["source"].encode(), each["record_offset"], each["inner_offset"]))
    bags = [dict(zip(each["words"], each["counts"], strict=True)) for each in chosen]
    tf: Counter[str] = Counter()
    df: Counter[str] = Counter()
    for bag in bags:
        tf.update(bag)
        df.update(bag.keys())
    high = float("inf") if choice.view.max_df is None else choice.view.max_df * len(bags)
    words = [
        (word, tf[word], df[word])
        for word in sorted(df, key=str.encode)
        if choice.view.min_df <= df[word] < high and word.encode() not in choice.stop_words
    ]
    held = {word for word, _, _ in words}
    pruned = [{word: n for word, n in bag.items() if word in held} for bag in bags]
    documents = [tuple(each[name] for name in DESCRIBED) for each in chosen]
    kept = [(document, bag) for document, bag in zip(documents, pruned, strict=True) if bag]
    return Expected(words, [d for d, _ in kept], [b for _, b in kept], len(pruned) - len(kept))


def is_chosen(row: Row, choice: ExportOptions) -> bool:
    languages, sources = choice.languages, choice.sources
    named = any(
        row["source"] == entry or entry.strip("/") in _beginnings(row["source"]) | set(row["source"].split("/")[:-1])
        for entry in sources
    )
    return (not languages or (row["language"] or "unknown") in languages) and (not sources or named)


def _beginnings(source: str) -> set[str]:
    parts = source.split("/")
    return {"/".join(parts[:n]) for n in range(1, len(parts))}


def exported(documents: Documents, target: Path, form: str, choice: ExportOptions) -> Path:
    export(form, target, documents, choice, overwrite=True)
    return target


def vocabulary(folder: Path) -> list[str]:
    return (folder / "vocab.txt").read_text(encoding="utf-8").splitlines()


def frequency(folder: Path) -> list[tuple[str, int, int]]:
    lines = (line.split("\t") for line in (folder / "frequency").read_text(encoding="utf-8").splitlines())
    return [(word, int(tf), int(df)) for word, tf, df in lines]


def documents_of(folder: Path) -> list[tuple[Any, ...]]:
    rows = pq.read_table(folder / "documents.parquet").to_pylist()
    assert [each["id"] for each in rows] == list(range(len(rows)))
    return [tuple(each[name] for name in DESCRIBED) for each in rows]


def data_files(folder: Path) -> dict[str, bytes]:
    """What has to be equal for equal documents: everything but the table's version in meta.json."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "meta.json"}
