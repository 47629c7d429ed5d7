"""Character classes of the `unicode` tokenizer. The specification and the kernel share this definition.

Both would therefore share a mistake in it: tests/text/test_characters.py checks it against Unicode's own data.
"""

from __future__ import annotations

import functools
import unicodedata
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from conf.profiles import Profile
from conf.word_lists import lower_letter
from streaming.text import scan

SEPARATOR, WHITE, LETTER, MARK, SPOILER, JOINER, SPOILING_JOINER, INVISIBLE = range(8)
"""Classes of characters.

SEPARATOR ends a run. WHITE ends a chunk. LETTER belongs to a run, in lower case. MARK (a combining accent) continues
a run but does not start one. SPOILER belongs to a run and makes it invalid. JOINER belongs to a run between two of
its characters and is a separator elsewhere; SPOILING_JOINER too, but makes the run invalid. INVISIBLE is ignored. """

ZERO_WIDTH_SPACE: Final = "\u200b"
INVISIBLES: Final = "\u00ad\u200c\u200d\u2060\ufeff"
"""Soft hyphen, zero-width non-joiner, zero-width joiner, word joiner, byte order mark."""
BROKEN: Final = "\ufffd"
"""U+FFFD replaces bytes that are not UTF-8."""
HYPHENS: Final = "-\u2010\u2011"
"""Hyphen-minus, hyphen, non-breaking hyphen. Dashes and minus signs are separators."""
IDEOGRAPHS: Final = range(0x20000, 0x40000)
"""Planes 2 and 3, CJK ideographs: all letters, assigned or not, so that the tables can end below them."""


def kind_of(character: str, profile: Profile) -> int:
    """Return the class of a character under a profile's rules."""
    category = unicodedata.category(character)
    if category in ("Cc", "Zs", "Zl", "Zp") or character == ZERO_WIDTH_SPACE:
        return WHITE
    if character in profile.apostrophes:
        return JOINER
    if character in HYPHENS:
        return JOINER if profile.hyphens == "keep" else SEPARATOR
    if character == "." and profile.inner_dots == "drop":
        return SPOILING_JOINER
    if character in INVISIBLES:
        return INVISIBLE
    if character == BROKEN:
        return SPOILER
    if category.startswith("N") or character == "_":
        return SPOILER if profile.mixed == "drop" else SEPARATOR
    if (category.startswith("L") and ord(character) < IDEOGRAPHS.start) or ord(character) in IDEOGRAPHS:
        return LETTER
    if category.startswith("M") and ord(character) < IDEOGRAPHS.start:
        return MARK
    return SEPARATOR


def written(character: str, profile: Profile) -> str:
    """Return a character as it is written in a word: letters in lower case, any apostrophe as ', any hyphen as -."""
    if character in profile.apostrophes:
        return "'"
    if character in HYPHENS:
        return "-"
    return lower_letter(character)


@functools.lru_cache(maxsize=4)
def tables(profile: Profile) -> tuple[NDArray[np.uint8], NDArray[np.uint32]]:
    """Return `kind_of` (uint8) and `written` (uint32) as arrays indexed by code point below U+20000."""
    characters = [chr(point) for point in range(IDEOGRAPHS.start)]
    kinds = np.array([kind_of(character, profile) for character in characters], np.uint8)
    written_as = np.array([ord(written(character, profile)) for character in characters], np.uint32)
    return kinds, written_as


class Alphabet(NamedTuple):
    """Kind and lower-case form of each code point below U+20000, and a buffer for one word."""

    kinds: NDArray[np.uint8]  # [0x20000]
    written: NDArray[np.uint32]  # [0x20000]
    word: NDArray[np.uint8]


def unicode_kinds(profile: Profile) -> NDArray[np.uint64]:
    """Return the byte classes, uint64 [256].

    WHITE; SPECIAL: needs reading by character; OTHER: plain punctuation; SPOILER: digits, underscore; 0: letters.
    """
    kinds = np.full(256, scan.SPECIAL, np.uint64)
    for byte in range(128):
        kind = kind_of(chr(byte), profile)
        if kind == WHITE:
            kinds[byte] = scan.WHITE
        elif kind == LETTER:
            kinds[byte] = 0
        elif kind == SPOILER:
            kinds[byte] = scan.SPOILER
        elif chr(byte) == ".":
            kinds[byte] = scan.OTHER  # mostly ends a sentence; `bag_unicode` handles the rest
        elif kind == SEPARATOR and not (chr(byte) in "/@" and profile.addresses == "drop"):
            kinds[byte] = scan.OTHER
    return kinds
