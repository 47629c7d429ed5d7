"""The character classes, which the kernel and its specification share, against the Unicode data of other libraries."""

from __future__ import annotations

import unicodedata

import pyarrow as pa
import pyarrow.compute as pc
import regex

from conf.profiles import load_profile
from conf.word_lists import lower_letter
from streaming.text import characters

ASSIGNED = [chr(point) for point in range(0x20000) if unicodedata.category(chr(point)) not in ("Cn", "Cs", "Co")]
"""Assigned in Python's Unicode version; other libraries have later ones, which only add characters."""
EXCEPTIONS = {
    *characters.HYPHENS,
    *characters.INVISIBLES,
    characters.ZERO_WIDTH_SPACE,
    characters.BROKEN,
    "_",
    ".",
    *load_profile("english").apostrophes,
}
"""Characters whose class is a rule of ours: docs/text-rules.md."""


def of_kind(kind: int) -> set[str]:
    profile = load_profile("english")
    return {c for c in ASSIGNED if c not in EXCEPTIONS and characters.kind_of(c, profile) == kind}


def of_property(pattern: str) -> set[str]:
    matches = regex.compile(pattern).fullmatch
    return {c for c in ASSIGNED if c not in EXCEPTIONS and matches(c)}


def test_letters_marks_and_numbers_are_unicodes() -> None:
    assert of_kind(characters.LETTER) == of_property(r"\p{L}")
    assert of_kind(characters.MARK) == of_property(r"\p{M}")
    assert of_kind(characters.SPOILER) == of_property(r"\p{N}")


def test_white_space_is_unicode_white_space_and_all_controls() -> None:
    assert of_kind(characters.WHITE) == of_property(r"[\p{White_Space}\p{Cc}]")


def test_ideographs_beyond_the_tables_are_letters() -> None:
    profile = load_profile("english")
    for point in (0x20000, 0x2A6DF, 0x30000, 0x3134A):
        assert regex.fullmatch(r"\p{L}", chr(point))
        assert characters.kind_of(chr(point), profile) == characters.LETTER


def test_lower_case_is_that_of_utf8proc() -> None:
    letters = sorted(of_property(r"\p{L}") - {"\u0130"})
    lower = pc.utf8_lower(pa.array(letters)).to_pylist()
    assert {a: (lower_letter(a), b) for a, b in zip(letters, lower, strict=True) if lower_letter(a) != b} == {}
    assert lower_letter("\u0130") == "i", "one character, where Unicode's full mapping has two"


def test_custom_rules() -> None:
    profile = load_profile("english")
    kinds = {c: characters.kind_of(c, profile) for c in EXCEPTIONS}
    assert kinds["'"] == kinds["\u2019"] == characters.JOINER
    assert kinds["-"] == kinds["\u2010"] == characters.SEPARATOR
    assert kinds["."] == characters.SPOILING_JOINER
    assert kinds["_"] == kinds["\ufffd"] == characters.SPOILER
    assert kinds["\u00ad"] == kinds["\u200d"] == kinds["\ufeff"] == characters.INVISIBLE
    assert kinds["\u200b"] == characters.WHITE
