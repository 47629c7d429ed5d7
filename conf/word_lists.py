"""Word lists: one word per line in UTF-8, plain or gzip. Words are normalised as the tokenizers write them."""

from __future__ import annotations

import functools
import gzip
import unicodedata
import zlib
from collections.abc import Iterable


def lower_letter(letter: str) -> str:
    """Lower-case one character to exactly one character: İ becomes i."""
    return letter.lower()[0]


def parse_words(content: bytes, apostrophes: str) -> list[bytes]:
    """Return the distinct words of a list in its order: lower case, Unicode NFC, with ' for every apostrophe.

    A line that no token can equal (one with a space, for example) never matches and does no harm.

    Raises:
        UnicodeDecodeError: The content is not UTF-8.
        OSError: The content is damaged gzip.
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
    """Compress a word list, keeping its order."""
    return zlib.compress(b"\n".join(words), 9)


@functools.lru_cache(maxsize=4)
def unpack(packed: bytes, *, without_possessives: bool) -> tuple[bytes, ...]:
    """Decompress a word list; `without_possessives` leaves out words that end in 's."""
    words = zlib.decompress(packed).split(b"\n")
    return tuple(word for word in words if word and not (without_possessives and word.endswith(b"'s")))
