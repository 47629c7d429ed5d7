"""Explain why a page is kept or rejected, token by token, by the specification that the kernel equals."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from conf.profiles import Profile
from conf.reasons import NOT_LANGUAGE, TOO_FEW_WORDS
from streaming.text.language import Method, language_of
from streaming.text.specification import tokens

STOP_WORD: Final = "stop word"


@dataclass
class LeftOut:
    """Tokens left out of the bag for one cause."""

    count: int = 0
    examples: list[str] = field(default_factory=list)
    """Distinct, in order of appearance."""


@dataclass
class Explanation:
    """A page under a profile."""

    reason: str | None
    """Why the page is rejected; None: kept."""
    language: str | None
    method: Method | None
    wanted_language: str | None
    valid_tokens: int
    """Including stop words; decides whether the page is kept."""
    min_valid_tokens: int
    dropped_tokens: int
    left_out: dict[str, LeftOut]
    """By cause, most frequent first: why tokens are invalid, and `stop word`."""
    length: int
    """Valid tokens without stop words."""
    bag: dict[str, int]
    """Words and counts in order of first appearance, whether or not the page is kept."""

    @property
    def left_out_of_valid(self) -> dict[str, LeftOut]:
        """What is left out of the valid tokens; with `length` it adds up to `valid_tokens`."""
        return {cause: left for cause, left in self.left_out.items() if cause == STOP_WORD}

    @property
    def left_out_of_dropped(self) -> dict[str, LeftOut]:
        """The invalid tokens by cause; they add up to `dropped_tokens`."""
        return {cause: left for cause, left in self.left_out.items() if cause != STOP_WORD}


def why_left_out(word: str, profile: Profile) -> str | None:
    """Return why the rules keep a word out of every bag; None if they do not, or if it is more than one token."""
    found = list(tokens(word.encode("utf-8", "replace"), profile))
    if len(found) != 1:
        return None
    (token, cause), *_ = found
    return STOP_WORD if cause is None and token in profile.stop_words else cause


def explain(payload: bytes, header: str | None, profile: Profile, examples: int = 10) -> Explanation:
    """Judge one payload and say why.

    Args:
        payload: The text of the page, UTF-8.
        header: Value of `WARC-Identified-Content-Language`, None without one.
        profile: The rules.
        examples: Number of example tokens kept for each cause.
    """
    language, method = language_of(header, payload, profile)
    left_out: dict[str, LeftOut] = {}
    bag: dict[str, int] = {}
    valid = dropped = 0
    for token, cause in tokens(payload, profile):
        if cause is None:
            valid += 1
            if token not in profile.stop_words:
                word = token.decode()
                bag[word] = bag.get(word, 0) + 1
                continue
            cause = STOP_WORD
        else:
            dropped += 1
        here = left_out.setdefault(cause, LeftOut())
        here.count += 1
        shown = token.decode("utf-8", errors="replace")
        if len(here.examples) < examples and shown not in here.examples:
            here.examples.append(shown)
    reason = None
    if profile.language is not None and language != profile.language:
        reason = NOT_LANGUAGE
    elif valid < profile.min_valid_tokens:
        reason = TOO_FEW_WORDS
    return Explanation(
        reason=reason,
        language=language,
        method=method,
        wanted_language=profile.language,
        valid_tokens=valid,
        min_valid_tokens=profile.min_valid_tokens,
        dropped_tokens=dropped,
        left_out=dict(sorted(left_out.items(), key=lambda item: -item[1].count)),
        length=sum(bag.values()),
        bag=bag,
    )
