"""What each character is, for the `unicode` tokenizer. The specification and the kernel read the same definition."""

from __future__ import annotations

import functools
import unicodedata
from typing import Final

import numpy as np
from numpy.typing import NDArray

from conf.profiles import Profile
from conf.word_lists import lower_letter

SEPARATOR, WHITE, LETTER, MARK, SPOILER, JOINER, SPOILING_JOINER, INVISIBLE = range(8)
"""SEPARATOR ends a run. WHITE ends a chunk. LETTER is part of a run, in lower case. MARK (an accent of its own) goes on
with a run, but begins none. SPOILER is part of a run that is no word. JOINER is part of a run between two of its
characters, a separator elsewhere; SPOILING_JOINER too, and the run is no word. INVISIBLE is as if it were not there."""

ZERO_WIDTH_SPACE: Final = "\u200b"
INVISIBLES: Final = "\u00ad\u200c\u200d\u2060\ufeff"
"""Soft hyphen, zero-width non-joiner, zero-width joiner, word joiner, byte order mark."""
BROKEN: Final = "\ufffd"
"""What stands for bytes that are no UTF-8."""
HYPHENS: Final = "-\u2010\u2011"
"""Hyphen-minus, hyphen, non-breaking hyphen. Dashes and minus signs are separators."""
IDEOGRAPHS: Final = range(0x20000, 0x40000)
"""Planes of CJK ideographs: letters all, assigned or not, so that the tables can end before."""


def kind_of(character: str, profile: Profile) -> int:
    """What a character is by this profile's rules."""
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
    """How a character of a run is written in the word: letters in lower case, any apostrophe as ', any hyphen as -."""
    if character in profile.apostrophes:
        return "'"
    if character in HYPHENS:
        return "-"
    return lower_letter(character)


@functools.lru_cache(maxsize=4)
def tables(profile: Profile) -> tuple[NDArray[np.uint8], NDArray[np.uint32]]:
    """`kind_of` and `written` as arrays by code point below U+20000: uint8, uint32."""
    characters = [chr(point) for point in range(IDEOGRAPHS.start)]
    kinds = np.array([kind_of(character, profile) for character in characters], np.uint8)
    written_as = np.array([ord(written(character, profile)) for character in characters], np.uint32)
    return kinds, written_as
