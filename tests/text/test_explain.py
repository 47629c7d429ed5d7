"""What `explain` tells is what the kernel does."""

from __future__ import annotations

import pytest

from conf.profiles import Profile
from streaming.text.explain import explain, why_left_out
from streaming.text.specification import bag
from tests.text.pages import real_pages

PAGE = "The writer's café sold 20 mp3 players in 2019, see www.example.com or example.com; aanbieding recieve! " * 2


def test_a_page(english: Profile) -> None:
    found = explain(PAGE.encode(), "eng,deu", english, examples=2)
    assert (found.reason, found.language, found.method, found.wanted_language) == (None, "eng", "header", "eng")
    assert (found.valid_tokens, found.dropped_tokens, found.length) == (16, 14, 10)
    assert found.bag == {"writer": 2, "café": 2, "sold": 2, "players": 2, "see": 2}
    left = {cause: (here.count, here.examples) for cause, here in found.left_out.items()}
    assert left == {
        "stop word": (6, ["the", "in"]),
        "number": (4, ["20", "2019"]),
        "not in the dictionary": (4, ["aanbieding", "recieve"]),
        "letters with digits": (2, ["mp3"]),
        "address": (2, ["www.example.com"]),
        "inner dot": (2, ["example.com"]),
    }


def test_why_a_word_is_left_out(english: Profile) -> None:
    assert why_left_out("the", english) == "stop word"
    assert why_left_out("wetstreamish", english) == "not in the dictionary"
    assert why_left_out("climate", english) is None
    assert why_left_out("two words", english) is None


def test_reasons(english: Profile) -> None:
    assert explain(PAGE.encode(), "deu", english).reason == "not_language"
    assert explain(b"Few words.", "eng", english).reason == "too_few_words"
    assert explain(b"", None, english).reason == "not_language"


@pytest.mark.parametrize("profile", ["p21", "english"])
def test_agrees_on_real_pages(profile: str, request: pytest.FixtureRequest) -> None:
    rules: Profile = request.getfixturevalue(profile)
    for page in real_pages("wet/cc-2014-2024-merged.warc.wet.gz"):
        found, wanted = explain(page, "eng", rules), bag(page, rules)
        assert (found.valid_tokens, found.dropped_tokens) == (wanted.valid_tokens, wanted.dropped_tokens)
        assert (found.reason is None) == wanted.kept
        if wanted.kept:
            assert {word.encode(): count for word, count in found.bag.items()} == wanted.counts
        assert found.length + sum(here.count for here in found.left_out_of_valid.values()) == found.valid_tokens
        assert sum(here.count for here in found.left_out_of_dropped.values()) == found.dropped_tokens
