"""The rules of both tokenizers in plain Python: the reference that the kernels are tested against.

`ascii` comes from CMU 15-719, project 2.1; `unicode` is our own. docs/text-rules.md describes both in prose.
"""

from __future__ import annotations

import functools
import re
import string
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Self

from conf.profiles import Profile
from streaming.text.characters import BROKEN, kind_of, written

# Why a token is invalid.
NOT_ONLY_LETTERS: Final = "not only letters"
NUMBER: Final = "number"
MIXED: Final = "letters with digits"
BROKEN_TEXT: Final = "broken characters"
ADDRESS: Final = "address"
INNER_DOT: Final = "inner dot"
TOO_SHORT: Final = "too short"
UNKNOWN: Final = "not in the dictionary"

Token = tuple[bytes, str | None]
"""A valid token as (lower-case word, None), or an invalid one as (its bytes, cause)."""

_VALID_BYTES: Final = (string.ascii_letters + "'-").encode()


@dataclass
class SpecBag:
    """The outcome for one payload."""

    valid_tokens: int = 0
    """Including stop words."""
    dropped_tokens: int = 0
    kept: bool = False
    length: int = 0
    """Valid tokens without stop words; 0 if rejected."""
    counts: dict[bytes, int] = field(default_factory=dict)
    """Occurrences of each word, in order of first appearance; empty if rejected."""


def bag(payload: bytes, profile: Profile) -> SpecBag:
    """Return the bag of words of a payload."""
    result = SpecBag()
    counts, stop_words = result.counts, profile.stop_words
    for token, cause in tokens(payload, profile):
        if cause is not None:
            result.dropped_tokens += 1
            continue
        result.valid_tokens += 1
        if token not in stop_words:
            counts[token] = counts.get(token, 0) + 1
    result.kept = result.valid_tokens >= profile.min_valid_tokens
    if not result.kept:
        counts.clear()
    result.length = sum(counts.values())
    return result


def tokens(payload: bytes, profile: Profile) -> Iterator[Token]:
    """Yield every token of a payload in order, valid or not."""
    found = _ascii_tokens(payload) if profile.tokenizer == "ascii" else _unicode_tokens(payload, profile)
    if profile.dictionary is None:
        return found
    return _looked_up(found, profile)


def _looked_up(found: Iterator[Token], profile: Profile) -> Iterator[Token]:
    known = _dictionary(profile)
    for token, cause in found:
        yield token, UNKNOWN if cause is None and token not in known else cause


@functools.lru_cache(maxsize=4)
def _dictionary(profile: Profile) -> frozenset[bytes]:
    return profile.stop_words.union(profile.valid_words or ())


def _ascii_tokens(payload: bytes) -> Iterator[Token]:
    for chunk in payload.split():  # bytes: splits at the six ASCII white-space characters
        word = chunk.strip(b"-'\"")
        if word and not word.translate(None, _VALID_BYTES):
            yield word.lower(), None
        else:
            yield chunk, NOT_ONLY_LETTERS


def _unicode_tokens(payload: bytes, profile: Profile) -> Iterator[Token]:
    text = payload.decode("utf-8", errors="replace")
    kinds = text.translate(_Kinds.of(profile))  # one letter of KINDS per character
    writing = _Written.of(profile)
    for chunk in _CHUNK.finditer(kinds):
        yield from _chunk_tokens(text[chunk.start() : chunk.end()], chunk[0], profile, writing)


_CHUNK: Final = re.compile("[^W]+")
_ADDRESS: Final = re.compile(r"@|//|(?<![A-Za-z\x80-\U0010ffff])[Ww]{3}\.")
_RUN: Final = re.compile("[LS](?:[LSM]|[JD](?=[LS]))*")
"""Letters and spoilers, marks after them, and single joiners between them."""


def _chunk_tokens(chunk: str, kinds: str, profile: Profile, writing: _Written) -> Iterator[Token]:
    if profile.addresses == "drop" and _ADDRESS.search(chunk):
        if "L" in kinds or "S" in kinds:
            yield chunk.encode(), ADDRESS
        return
    if "I" in kinds:
        chunk = "".join(character for character, kind in zip(chunk, kinds, strict=True) if kind != "I")
        kinds = kinds.replace("I", "")
    for run in _RUN.finditer(kinds):
        yield _word(chunk[run.start() : run.end()], run[0], profile, writing)


def _word(run: str, kinds: str, profile: Profile, writing: _Written) -> Token:
    """Return the word of a run, or why it is invalid."""
    if "S" in kinds:
        return run.encode(), BROKEN_TEXT if BROKEN in run else MIXED if "L" in kinds else NUMBER
    if "D" in kinds:
        return run.encode(), INNER_DOT
    word = run.translate(writing).encode()
    if word in profile.stop_words:
        return word, None
    letters = kinds.count("L")
    if profile.possessives == "strip" and word.endswith(b"'s"):
        word = word[:-2]
        letters -= 1
    if letters < profile.min_letters and word not in profile.stop_words:
        return word, TOO_SHORT
    return word, None


KINDS: Final = " WLMSJDI"
"""Separator, white, letter, mark, spoiler, joiner, spoiling joiner (a dot), invisible: indexed by `kind_of`."""


class _Kinds(dict[int, str]):
    """`kind_of` as a lazily filled table for `str.translate`."""

    def __init__(self, profile: Profile) -> None:
        super().__init__()
        self.profile = profile

    @classmethod
    @functools.lru_cache(maxsize=8)
    def of(cls, profile: Profile) -> Self:
        """Return the table of a profile."""
        return cls(profile)

    def __missing__(self, point: int) -> str:
        self[point] = kind = KINDS[kind_of(chr(point), self.profile)]
        return kind


class _Written(_Kinds):
    """`written` as a lazily filled table for `str.translate`."""

    def __missing__(self, point: int) -> str:
        self[point] = character = written(chr(point), self.profile)
        return character
