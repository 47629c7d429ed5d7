"""The sample has the statistics of real text, the form of Common Crawl's files, and the same bytes every time.

The short sample in tests/data was made, and is made again after a change that is meant, by

    python -c "from pathlib import Path; from producers.sample.writer import write_sample
    write_sample(Path('tests/data/sample-80.warc.wet.gz'), records=80)"
"""

from __future__ import annotations

import functools
import gzip
import math
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

import numpy as np
import pycld2
import pytest
from fastwarc.warc import ArchiveIterator as FastIterator
from hypothesis import given
from hypothesis import strategies as st
from spellchecker import SpellChecker
from warcio import ArchiveIterator

from producers.sample.foretell import p21_keeps
from producers.sample.languages import LANGUAGES
from producers.sample.page import WORD_COUNT, put_coined
from producers.sample.tables import load_tables
from producers.sample.writer import SampleSummary, write_sample, write_samples

CLD2_CODES = {"deu": "de", "jpn": "ja", "por": "pt", "spa": "es"}
SHORT = Path(__file__).parents[1] / "data" / "sample-80.warc.wet.gz"
STOP_WORDS = frozenset(files("conf").joinpath("words", "english_stop_words.txt").read_bytes().split())


@functools.cache
def valid(token: bytes) -> bytes | None:
    """The p21 rule for one token, in plain Python."""
    word = token.strip(b"-'\"")
    return word.lower() if re.fullmatch(rb"[A-Za-z'-]+", word) else None


def bag(payload: bytes) -> Counter[bytes]:
    words: Counter[bytes] = Counter()
    for token, count in Counter(payload.split()).items():
        if (word := valid(token)) is not None:
            words[word] += count
    return words


@dataclass
class Corpus:
    """What the p21 rule finds: the documents' lengths, all words, and (tokens, words) as the corpus grew."""

    summaries: list[SampleSummary]
    lengths: list[int] = field(default_factory=list)
    words: Counter[bytes] = field(default_factory=Counter)
    growth: list[tuple[int, int]] = field(default_factory=list)

    def slope(self, low: int, high: int) -> float:
        """Heaps' exponent between two numbers of tokens."""
        points = np.log([point for point in self.growth if low <= point[0] <= high])
        return float(np.polyfit(points[:, 0], points[:, 1], 1)[0])


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    found = Corpus(write_samples(tmp_path_factory.mktemp("wet"), files=4, records_each=2000))
    tokens = 0
    for payload in (payload for summary in found.summaries for payload in payloads(summary.path)):
        words = bag(payload)
        if words.total() <= 10:
            continue
        for word in STOP_WORDS & words.keys():
            del words[word]
        found.words.update(words)
        found.lengths.append(words.total())
        tokens += words.total()
        found.growth.append((tokens, len(found.words)))
    found.lengths.sort()
    return found


def payloads(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        for record in FastIterator(stream):
            if record.headers["WARC-Type"] == "conversion":
                yield record.reader.read()


def raw(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes())


def test_vocabulary_grows_by_heaps_law_without_an_end_and_across_files(corpus: Corpus) -> None:
    end = corpus.growth[-1][0]
    assert end > 2_000_000
    middle = math.isqrt(100_000 * end)
    assert 0.6 < corpus.slope(100_000, end) < 0.7
    assert 0.6 < corpus.slope(100_000, middle) < 0.7
    assert 0.6 < corpus.slope(middle, end) < 0.7


def test_about_half_of_the_words_are_seen_once(corpus: Corpus) -> None:
    once = sum(count == 1 for count in corpus.words.values())
    assert 0.4 < once / len(corpus.words) < 0.6


@pytest.mark.parametrize(
    ("share", "expected"), [(0.1, 37), (0.3, 147), (0.5, 280), (0.7, 479), (0.9, 978), (0.99, 2965)]
)
def test_document_lengths_are_those_of_a_real_file(corpus: Corpus, share: float, expected: int) -> None:
    assert corpus.lengths[int(share * len(corpus.lengths))] == pytest.approx(expected, rel=0.12)


def test_summary_foretells_the_third_of_pages_that_is_dropped(corpus: Corpus) -> None:
    records = sum(summary.records for summary in corpus.summaries)
    assert len(corpus.lengths) == sum(summary.p21_documents for summary in corpus.summaries)
    assert 0.6 < len(corpus.lengths) / records < 0.72


@given(st.lists(st.text("aZ-'\"1", min_size=1, max_size=6), max_size=30), st.sampled_from(" \t\n\u00a0"))
def test_foretelling_agrees_with_the_plain_rule(tokens: list[str], space: str) -> None:
    text = space.join(tokens).encode()
    assert p21_keeps(np.frombuffer(text, np.uint8)) == (bag(text).total() > 10)


def test_sample_files_differ_and_are_spread_over_segments(tmp_path: Path) -> None:
    summaries = write_samples(tmp_path, files=4, records_each=20, files_per_segment=2, crawl="CC-MAIN-2016-50")
    form = r"crawl-data/CC-MAIN-2016-50/segments/\d{13}\.\d/wet/CC-MAIN-\d{14}-\d{14}-\d{5}\.warc\.wet\.gz"
    paths = [summary.path.relative_to(tmp_path).as_posix() for summary in summaries]
    assert all(re.fullmatch(form, path) for path in paths)
    assert len(set(paths)) == 4
    assert len({path.split("/")[3] for path in paths}) == 2
    assert len({payload for summary in summaries for payload in payloads(summary.path)}) == 80


def test_coined_words_have_spellings_of_their_own() -> None:
    tables, out = load_tables(), np.zeros(4096, np.uint8)
    for number, language in enumerate(LANGUAGES):
        assert tables.layout[number, WORD_COUNT] == len(set(language.words()))
        spelled = {
            bytes(out[: put_coined(out, 0, number, coined, tables.blob, tables.offsets, tables.layout)])
            for coined in range(20_000)
        }
        assert len(spelled) == 20_000


def test_warcio_reads_every_record_and_verifies_every_digest(tmp_path: Path) -> None:
    path = write_sample(tmp_path / "a.warc.wet.gz", records=300).path
    kinds, ids, days = [], set(), set()
    with path.open("rb") as stream:
        for record in ArchiveIterator(stream, check_digests="raise"):
            block = record.content_stream().read()
            block.decode("utf-8")
            header = record.rec_headers.get_header
            assert header("WARC-Block-Digest").startswith("sha1:")
            assert len(block) == int(header("Content-Length"))
            kinds.append(record.rec_type)
            ids.add(header("WARC-Record-ID"))
            days.add(((header("WARC-Identified-Content-Language") or "")[:3], header("WARC-Date")[:10]))
            if record.rec_type == "warcinfo":
                assert b"isPartOf: CC-MAIN-2024-33\r\n" in block
            else:
                assert record.content_type == "text/plain"
                assert header("WARC-Target-URI").startswith("http")
                assert header("WARC-Refers-To").startswith("<urn:uuid:")
    assert kinds == ["warcinfo"] + ["conversion"] * 300
    assert len(ids) == 301
    assert len({day for code, day in days if code == "eng"}) == 5
    assert len({day for code, day in days if code == "rus"}) == 5


def test_every_record_is_a_gzip_member(tmp_path: Path) -> None:
    left, members = write_sample(tmp_path / "a.gz", records=20).path.read_bytes(), []
    while left:
        inflater = zlib.decompressobj(31)
        members.append(inflater.decompress(left))
        left = inflater.unused_data
    assert len(members) == 21
    assert all(member.startswith(b"WARC/1.0\r\n") and member.endswith(b"\r\n\r\n") for member in members)


def test_sample_is_deterministic_and_longer_samples_extend_shorter_ones(tmp_path: Path) -> None:
    first, again, longer, other, second_file = (
        write_sample(tmp_path / f"{name}.gz", records=records, seed=seed, file=file).path.read_bytes()
        for name, records, seed, file in [
            ("a", 50, 3, 0),
            ("b", 50, 3, 0),
            ("c", 60, 3, 0),
            ("d", 50, 4, 0),
            ("e", 50, 3, 1),
        ]
    )
    assert first == again
    assert longer.startswith(first)
    assert len({first, longer, other, second_file}) == 4


def test_the_short_sample_is_still_what_is_generated(tmp_path: Path) -> None:
    # Compared uncompressed: what isal makes of it may differ from one processor to another.
    assert raw(write_sample(tmp_path / SHORT.name, records=80).path) == raw(SHORT)
    assert SHORT.stat().st_size < 300_000


def test_language_headers_agree_with_cld2_and_can_be_left_out(tmp_path: Path) -> None:
    path = write_sample(tmp_path / "a.gz", records=400).path
    agreed: Counter[bool] = Counter()
    with path.open("rb") as stream:
        for record in ArchiveIterator(stream):
            text = record.content_stream().read()
            code = record.rec_headers.get_header("WARC-Identified-Content-Language")
            if code and len(text) > 200:
                agreed[pycld2.detect(text)[2][0][1] == CLD2_CODES.get(code[:3], code[:2])] += 1
    assert agreed.total() > 300
    assert agreed[True] > 0.97 * agreed.total()
    without = write_sample(tmp_path / "b.gz", records=400, language_headers=False).path
    assert b"WARC-Identified-Content-Language" not in raw(without)
    assert list(payloads(without)) == list(payloads(path))


def test_english_pages_hold_mostly_words_of_the_dictionary_and_stop_words_at_their_natural_rate(tmp_path: Path) -> None:
    summary = write_sample(tmp_path / "a.gz", records=200, english_share=1)
    assert summary.languages == {"eng": 200}
    words = sum((bag(payload) for payload in payloads(summary.path)), Counter[bytes]())
    dictionary = SpellChecker()
    known = sum(count for word, count in words.items() if dictionary.known([word.decode()]))
    stop = sum(count for word, count in words.items() if word in STOP_WORDS)
    assert 0.85 < known / words.total() < 0.97
    assert 0.35 < stop / words.total() < 0.5


def test_sample_pages_hold_hard_cases_for_tokenizers(tmp_path: Path) -> None:
    text = b"\n".join(payloads(write_sample(tmp_path / "a.gz", records=300).path)).decode()
    patterns = (
        r"[a-z]'s\b",
        r"[a-z]’s\b",
        "“[^”]+”",
        r'"\w+"',
        r"[a-z]-[a-z]",
        r"\d\d%",
        r"https://www\.",
        r"@example\.com",
    )
    for pattern in (
        *patterns,
        "\u00a0",
        "\u3000",
        r"\bdon't\b",
        "[A-Z]{4}",
        "é",
        "ß",
        "я",
        "的",
        "の",
        "ال",
        r"20\d\d-\d\d",
    ):
        assert re.search(pattern, text), pattern


@pytest.mark.parametrize("compression", ["single", "none"])
def test_other_forms_hold_the_same_records(tmp_path: Path, compression: str) -> None:
    usual = write_sample(tmp_path / "a", records=30)
    other = write_sample(tmp_path / "b", records=30, compression=compression)  # type: ignore[arg-type]
    assert raw(usual.path) == (raw(other.path) if compression == "single" else other.path.read_bytes())
    assert other.raw_bytes == usual.raw_bytes == len(raw(usual.path))
    assert other.gz_bytes == other.path.stat().st_size
    if compression == "single":
        inflater = zlib.decompressobj(31)
        inflater.decompress(other.path.read_bytes())
        assert inflater.eof and not inflater.unused_data


def test_line_feeds_alone(tmp_path: Path) -> None:
    usual = write_sample(tmp_path / "a", records=30, compression="none")
    bare = write_sample(tmp_path / "b", records=30, compression="none", lf_only=True)
    assert b"WARC/1.0\nWARC-Type: conversion\n" in bare.path.read_bytes()
    with bare.path.open("rb") as stream:
        blocks = [r.content_stream().read() for r in ArchiveIterator(stream) if r.rec_type == "conversion"]
    assert blocks == list(payloads(usual.path))


def test_a_size_can_be_asked_for(tmp_path: Path) -> None:
    seen: list[int] = []
    summary = write_sample(tmp_path / "a", raw_bytes=3_000_000, progress=lambda s: seen.append(s.raw_bytes))
    assert 3_000_000 <= summary.raw_bytes < 3_400_000
    assert seen[-1] == summary.raw_bytes and len(seen) > 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "records or raw_bytes"),
        ({"records": -1}, "negative"),
        ({"records": 1, "english_share": 1.5}, "english_share"),
        ({"records": 1, "crawl": "2024"}, "CC-MAIN-2024-33"),
    ],
)
def test_wrong_values_are_refused_by_name(tmp_path: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        write_sample(tmp_path / "a", **options)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_unfinished_file_is_not_left_behind(tmp_path: Path) -> None:
    def stop(summary: SampleSummary) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_sample(tmp_path / "a", records=600, progress=stop)
    assert not list(tmp_path.iterdir())
