"""Word lists: one word a line in UTF-8, plain or gzip. Words get the form that the tokenizers give them."""

from __future__ import annotations

import functools
import gzip
import unicodedata
import zlib
from collections.abc import Iterable


def lower_letter(letter: str) -> str:
    """The lower case of one character, always one character: İ becomes i."""
    return letter.lower()[0]


def parse_words(content: bytes, apostrophes: str) -> list[bytes]:
    """The words of a list's content, once each, in its order: lower case, Unicode NFC, with ' for every apostrophe.

    A line that no token can equal (one with a space, say) does no harm and never matches. UnicodeDecodeError, OSError.
    """
    if content[:2] == b"\x1f\x8b":
        content = gzip.decompress(content)
    text = unicodedata.normalize("NFC", content.decode("utf-8-sig"))
    if not text.isascii():
        text = text.translate({ord(apostrophe): "'" for apostrophe in apostrophes})
        text = text.translate({ord(letter): lower_letter(letter) for letter in set(text)})
    words = (line.strip() for line in text.lower().encode().split(b"\n"))
    return list(dict.fromkeys(word for word in words if word and b"\0" not in word))


def pack(words: Iterable[bytes]) -> bytes:
    """A word list in a small form, in the order given."""
    return zlib.compress(b"\n".join(words), 9)


@functools.lru_cache(maxsize=4)
def unpack(packed: bytes, *, without_possessives: bool) -> tuple[bytes, ...]:
    """The words in their order; `without_possessives`: without those that end in 's."""
    words = zlib.decompress(packed).split(b"\n")
    return tuple(word for word in words if word and not (without_possessives and word.endswith(b"'s")))
