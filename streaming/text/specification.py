"""The rules of both tokenizers in plain Python: the truth that the kernels are tested against.

`ascii` comes from CMU 15-719, project 2.1; `unicode` is our own. docs/text-rules.md tells both in words.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from conf.profiles import Profile
from streaming.text.characters import (
    BROKEN,
    INVISIBLE,
    JOINER,
    LETTER,
    MARK,
    SPOILER,
    SPOILING_JOINER,
    WHITE,
    kind_of,
    written,
)

# Why a token is not valid.
NOT_ONLY_LETTERS: Final = "not only letters"
NUMBER: Final = "number"
MIXED: Final = "letters with digits"
BROKEN_TEXT: Final = "broken characters"
ADDRESS: Final = "address"
INNER_DOT: Final = "inner dot"
TOO_SHORT: Final = "too short"
UNKNOWN: Final = "not in the dictionary"

Token = tuple[bytes, str | None]
"""A token and why it is not valid: (word in lower case, None), or (what stands there, cause)."""

_ASCII_LETTERS: Final = bytes(range(ord("A"), ord("Z") + 1)) + bytes(range(ord("a"), ord("z") + 1))


@dataclass
class SpecBag:
    """The judgement of one payload."""

    valid_tokens: int = 0
    """Stop words among them."""
    dropped_tokens: int = 0
    kept: bool = False
    length: int = 0
    """Valid tokens without stop words; 0 if not kept."""
    counts: dict[bytes, int] = field(default_factory=dict)
    """How often each word occurs, in order of first appearance; empty if not kept."""


def bag(payload: bytes, profile: Profile) -> SpecBag:
    """The bag of words of a payload."""
    result = SpecBag()
    counts = result.counts
    for token, cause in tokens(payload, profile):
        if cause is not None:
            result.dropped_tokens += 1
            continue
        result.valid_tokens += 1
        if token not in profile.stop_words:
            counts[token] = counts.get(token, 0) + 1
    result.kept = result.valid_tokens >= profile.min_valid_tokens
    if not result.kept:
        counts.clear()
    result.length = sum(counts.values())
    return result


def tokens(payload: bytes, profile: Profile) -> Iterator[Token]:
    """Every token of a payload, valid or not, in order."""
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
    for chunk in payload.split():  # bytes: at the six ASCII white-space characters
        word = chunk.strip(b"-'\"")
        if word and not word.translate(None, _ASCII_LETTERS + b"'-"):
            yield word.lower(), None
        else:
            yield chunk, NOT_ONLY_LETTERS


def _unicode_tokens(payload: bytes, profile: Profile) -> Iterator[Token]:
    kinds = Kinds.of(profile)
    text = payload.decode("utf-8", errors="replace")
    white = {ord(character): " " for character in set(text) if kinds[character] == WHITE}
    for chunk in text.translate(white).split():
        if profile.addresses == "drop" and _ADDRESS.search(chunk):
            if any(kinds[character] in (LETTER, SPOILER) for character in chunk):
                yield chunk.encode(), ADDRESS
            continue
        for run in _runs(chunk, kinds):
            yield _word(run, kinds, profile)


_ADDRESS: Final = re.compile(r"@|//|(?<![A-Za-z\x80-\U0010ffff])[Ww]{3}\.")


class Kinds(dict[str, int]):
    """What each character is, asked for once."""

    def __init__(self, profile: Profile) -> None:
        super().__init__()
        self.profile = profile

    @staticmethod
    @functools.lru_cache(maxsize=4)
    def of(profile: Profile) -> Kinds:
        """The one for a profile."""
        return Kinds(profile)

    def __missing__(self, character: str) -> int:
        kind = self[character] = kind_of(character, self.profile)
        return kind


def _runs(chunk: str, kinds: Kinds) -> Iterator[str]:
    """The runs of letters and spoilers in a chunk, with the joiners inside them."""
    run = joiner = ""
    for character in chunk:
        kind = kinds[character]
        if kind == INVISIBLE:
            continue
        if kind in (LETTER, SPOILER) or (kind == MARK and run and not joiner):
            run += joiner + character
            joiner = ""
        elif kind in (JOINER, SPOILING_JOINER) and run and not joiner:
            joiner = character
        else:
            if run:
                yield run
            run = joiner = ""
    if run:
        yield run


def _word(run: str, kinds: Kinds, profile: Profile) -> Token:
    """The word that a run is, or why it is none."""
    found = [kinds[character] for character in run]
    if SPOILER in found:
        cause = BROKEN_TEXT if BROKEN in run else MIXED if LETTER in found else NUMBER
        return run.encode(), cause
    if SPOILING_JOINER in found:
        return run.encode(), INNER_DOT
    word = "".join(written(character, profile) for character in run).encode()
    if word in profile.stop_words:
        return word, None
    letters = found.count(LETTER)
    if profile.possessives == "strip" and word.endswith(b"'s"):
        word = word[:-2]
        letters -= 1
    if letters < profile.min_letters and word not in profile.stop_words:
        return word, TOO_SHORT
    return word, None
