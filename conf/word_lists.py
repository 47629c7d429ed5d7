"""Word lists: one word a line in UTF-8, plain or gzip. Words are brought into the form that the tokenizers give them."""

from __future__ import annotations

import functools
import gzip
import unicodedata
import zlib
from collections.abc import Iterable


def lower_letter(letter: str) -> str:
    """The lower case of one character, always one character: İ becomes i."""
    return letter.lower()[0]


def parse_words(content: bytes, apostrophes: str) -> frozenset[bytes]:
    """The words of a list's content: lower case, Unicode NFC, with ' for every apostrophe. UnicodeDecodeError, OSError.

    A line that no token can equal (one with a space, say) does no harm and never matches.
    """
    if content[:2] == b"\x1f\x8b":
        content = gzip.decompress(content)
    text = unicodedata.normalize("NFC", content.decode("utf-8-sig"))
    if not text.isascii():
        text = text.translate({ord(apostrophe): "'" for apostrophe in apostrophes})
        text = "".join(letter if letter.isascii() else lower_letter(letter) for letter in text)
    return frozenset(word for line in text.lower().encode().split(b"\n") if (word := line.strip()) and b"\0" not in word)


def pack(words: Iterable[bytes]) -> bytes:
    """A word list in its smallest form, the same for the same words."""
    return zlib.compress(b"\n".join(sorted(words)), 9)


@functools.lru_cache(maxsize=4)
def unpack(packed: bytes, *, without_possessives: bool) -> tuple[bytes, ...]:
    """The words, sorted bytewise; `without_possessives`: without those that end in 's."""
    words = zlib.decompress(packed).split(b"\n")
    return tuple(word for word in words if word and not (without_possessives and word.endswith(b"'s")))
