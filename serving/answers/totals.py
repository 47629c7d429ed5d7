"""Answers about totals, document lengths, and pages by language, domain and day."""

from __future__ import annotations

from typing_extensions import TypedDict

from serving.answers.shape import Answer, Page, Thresholds, exact


@exact
class Lengths(TypedDict):
    """Document lengths in tokens; null when there are no documents."""

    min: int | None
    max: int | None
    mean: float | None
    p10: int | None
    p30: int | None
    p50: int | None
    p70: int | None
    p90: int | None
    p99: int | None


@exact
class Stats(Answer):
    """Totals; `words` and `tokens` under the thresholds, everything else before them."""

    records: int
    documents: int
    tokens: int
    words: int
    payload_bytes: int
    rejected: dict[str, int]
    length: Lengths
    sources: int
    view: Thresholds
    profile: str | None


@exact
class VocabularySize(Answer):
    """Words and tokens under the thresholds, and in all (`of_words`, `of_tokens`)."""

    words: int
    tokens: int
    documents: int
    of_words: int
    of_tokens: int
    view: Thresholds


@exact
class Frequencies(Answer):
    """Words and tokens by document frequency: lists of the same length, `df` ascending."""

    documents: int
    df: list[int]
    words: list[int]
    tokens: list[int]


# Functional syntax: `from` is a keyword.
Bin = TypedDict("Bin", {"from": int, "to": int, "documents": int})


@exact
class LengthHistogram(Answer):
    """Document lengths; a bin holds documents with `from` <= length < `to`."""

    documents: int
    length: Lengths
    bins: list[Bin]


@exact
class ReasonCount(TypedDict):
    """Records rejected for one reason."""

    reason: str
    records: int


@exact
class Rejected(Answer):
    """Rejected records by reason, most first."""

    records: int
    rejected: int
    reasons: list[ReasonCount]


@exact
class PageCount(TypedDict):
    """Pages and kept documents of one language, top-level domain or day."""

    name: str
    pages: int
    documents: int


@exact
class Languages(Page):
    """Pages by language."""

    languages: list[PageCount]


@exact
class Tlds(Page):
    """Pages by top-level domain."""

    tlds: list[PageCount]


@exact
class Days(Page):
    """Pages by day of crawling."""

    days: list[PageCount]
