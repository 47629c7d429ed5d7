"""A batch of records: one reason each, or none."""

from __future__ import annotations

import pytest

from conf.reasons import ALL, NOT_LANGUAGE, TOO_FEW_WORDS
from streaming.text.judge import judge
from streaming.text.kernel import Bagger
from tests.text.pages import ENGLISH_TEXT, GERMAN_TEXT, packed, rows, specified
from tests.text.profiles import shared_bagger


@pytest.fixture
def english_bagger() -> Bagger:
    bagger = shared_bagger("english")
    bagger.reset()
    return bagger


def test_reasons_languages_and_bags(english_bagger: Bagger) -> None:
    pages = [
        ENGLISH_TEXT,
        GERMAN_TEXT,
        b"Only a few words here, they say.",
        ENGLISH_TEXT,
        b"",
        ENGLISH_TEXT,
        GERMAN_TEXT,
    ]
    headers = ["eng", "deu,eng", "eng", None, None, "spa", "eng"]
    data, starts, ends = packed(pages)
    found = judge(english_bagger, data, starts, ends, headers)
    assert found.reasons == [None, NOT_LANGUAGE, TOO_FEW_WORDS, None, NOT_LANGUAGE, NOT_LANGUAGE, TOO_FEW_WORDS]
    assert found.languages == ["eng", "deu", "eng", "eng", None, "spa", "eng"]
    assert found.methods == ["header", "header", "header", "detect", None, "header", "header"]
    bags = rows(english_bagger, found.bags)
    assert [bags[0], bags[3]] == specified([ENGLISH_TEXT] * 2, english_bagger.profile)
    assert bags[1] == (0, 0, False, 0, [])
    assert all((reason is None) == kept for reason, kept in zip(found.reasons, found.bags.kept, strict=True))
    _, _, df = english_bagger.take_counts()
    assert df.max() == 2


def test_a_record_judged_before_is_skipped(english_bagger: Bagger) -> None:
    data, starts, ends = packed([ENGLISH_TEXT, ENGLISH_TEXT])
    starts = starts.copy()
    starts[0] = -1
    found = judge(english_bagger, data, starts, ends, [None, None])
    assert (found.reasons, found.languages) == ([None, None], [None, "eng"])
    assert found.bags.kept.tolist() == [False, True]
    assert starts[0] == -1


def test_p21_takes_every_language() -> None:
    bagger = shared_bagger("p21")
    bagger.reset()
    found = judge(bagger, *packed([GERMAN_TEXT * 2, b""]), [None, "deu"])
    assert found.reasons == [None, TOO_FEW_WORDS]
    assert found.languages == [None, "deu"]


def test_one_header_a_record(english_bagger: Bagger) -> None:
    with pytest.raises(ValueError, match="2 payloads but 1 language headers"):
        judge(english_bagger, *packed([b"", b""]), [None])


def test_reasons_are_distinct() -> None:
    assert len(set(ALL)) == len(ALL) == 8
