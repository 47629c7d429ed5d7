"""The rules by example: what docs/text-rules.md and the profiles promise."""

from __future__ import annotations

from dataclasses import replace

import pytest

from conf.profiles import Profile
from streaming.text.specification import bag, tokens
from tests.text.profiles import ANY_WORDS


def valid(text: str | bytes, profile: Profile) -> list[str]:
    payload = text if isinstance(text, bytes) else text.encode()
    return [token.decode() for token, cause in tokens(payload, profile) if cause is None]


def dropped(text: str | bytes, profile: Profile) -> list[tuple[str, str]]:
    payload = text if isinstance(text, bytes) else text.encode()
    return [(token.decode(errors="replace"), cause) for token, cause in tokens(payload, profile) if cause is not None]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("One two\tthree\nfour\rfive\vsix\fseven", "one two three four five six seven"),
        ("'tis \"quoted\" --dash-- rock'n'roll e-mail", "tis quoted dash rock'n'roll e-mail"),
        ("word, (word) word.", ""),
        ('a"b ab"\'- \'"-', "ab"),
        ("caf\u00e9 a\u00a0b a\u3000b mp3", ""),
        ("don\u2019t don't", "don't"),
        ("a\x1cb \x1d", ""),
    ],
)
def test_p21_tokens(text: str, words: str, p21: Profile) -> None:
    assert valid(text, p21) == words.split()


def test_p21_counts_dropped_chunks(p21: Profile) -> None:
    assert [token for token, _ in dropped("a word, 1999 -- \u2022", p21)] == ["word,", "1999", "--", "\u2022"]


def test_p21_rejects_ten_words_and_keeps_eleven(p21: Profile) -> None:
    assert not bag(b"the " * 10, p21).kept
    eleven = bag(b"the " * 10 + b"word", p21)
    assert (eleven.kept, eleven.valid_tokens, eleven.length, eleven.counts) == (True, 11, 1, {b"word": 1})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The quick,brown (fox) \u2014jumps\u2026over\u2013it!", "the quick brown fox jumps over it"),
        ("\u201cquoted\u201d \u2018single\u2019 'plain' \u00abother\u00bb", "quoted single plain other"),
        ("a\u00a0no\u2003break\u3000space\u200bzero\u2028line", "a no break space zero line"),
        ("don't don\u2019t don\u02bct don`t", "don't don't don't don't"),
        ("the writer's writers' James's book", "the writer writers james book"),
        ("it's who's that\u2019s", "it's who's that's"),
        ("well-known twenty\u2010one non\u2011stop", "well known twenty one non stop"),
        ("and/or black+white", "and or black white"),
        ("caf\u00e9 CAF\u00c9", "caf\u00e9 caf\u00e9"),
        ("exam\u00adple", "example"),
        ("recieve aanbieding", ""),
    ],
)
def test_english_tokens(text: str, words: str, english: Profile) -> None:
    assert valid(text, english) == words.split()


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("1999", "number"),
        ("\u0663", "number"),
        ("mp3", "letters with digits"),
        ("90's", "letters with digits"),
        ("file_name", "letters with digits"),
        ("U.S", "inner dot"),
        ("example.com", "inner dot"),
        ("http://example.com/a-b?c=d", "address"),
        ("(www.example.com)", "address"),
        ("me@example.com", "address"),
        ("@someone", "address"),
        ("recieve", "not in the dictionary"),
        ("caf\ufffd", "broken characters"),
    ],
)
def test_english_drops(text: str, cause: str, english: Profile) -> None:
    assert dropped(f" {text} ", english) == [(text, cause)]


def test_english_does_not_count_punctuation(english: Profile) -> None:
    assert list(tokens("\u2022 | -- \u2026 // @ ' \ufe0f".encode(), english)) == []


def test_invalid_utf8_affects_its_token_only(english: Profile) -> None:
    assert valid(b"good b\xffd \xe2\x80 words", english) == ["good", "words"]
    assert [cause for _, cause in dropped(b"good b\xffd \xe2\x80 words", english)] == ["broken characters"] * 2


@pytest.mark.parametrize(
    ("settings", "text", "words"),
    [
        ({"possessives": "keep"}, "the writer's", "the writer's"),
        ({"hyphens": "keep"}, "well-known -dash- a--b non\u2010stop", "well-known dash a b non-stop"),
        ({"mixed": "split"}, "mp3 file_name 1999", "mp file name"),
        ({"addresses": "split", "inner_dots": "split"}, "http://example.com", "http example com"),
        ({"inner_dots": "split"}, "U.S.", "u s"),
        ({"min_letters": 2}, "x ab \u00e9 a", "ab a"),
        ({"apostrophes": ""}, "l'homme don\u2019t", "l homme don t"),
    ],
)
def test_settings(settings: dict[str, object], text: str, words: str) -> None:
    assert valid(text, replace(ANY_WORDS, **settings)) == words.split()  # type: ignore[arg-type]


def test_words_of_other_scripts() -> None:
    text = "ПРИВЕТ мир! Ελλάδα Straße हिन्दी ÇA"
    assert valid(text, ANY_WORDS) == ["привет", "мир", "ελλάδα", "straße", "हिन्दी", "ça"]
