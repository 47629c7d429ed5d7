"""Answers about words."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from serving.answers.shape import Answer, AsOf, SnapshotAsOf, Thresholds, exact


@exact
class TopWord(TypedDict):
    """A ranked word: occurrences (`tf`) and documents that hold it (`df`)."""

    word: str
    tf: int
    df: int


@exact
class Top(Answer):
    """The most frequent words."""

    words: list[TopWord]
    by: str
    view: Thresholds


@exact
class Word(TopWord):
    """A word that was looked up."""

    idf: Annotated[float | None, Field(description="ln(documents / df); null for an unseen word")]
    rank: Annotated[
        int | None,
        Field(description="by tf, from 1; words outside the ranked ones have the rank of the last snapshot"),
    ]


@exact
class OneWord(Word):
    """One word."""

    as_of: AsOf


@exact
class Words(Answer):
    """Several words at one instant."""

    words: list[Word]
    documents: int


@exact
class FoundWord(TopWord):
    """A word of a snapshot."""

    idf: float | None


@exact
class FoundWords(TypedDict):
    """Words of a snapshot. `settled`: nothing was written while it was taken."""

    words: list[FoundWord]
    total: int
    view: Thresholds
    settled: bool
    as_of: SnapshotAsOf


@exact
class RankPoint(TypedDict):
    """A point of the rank-frequency curve."""

    rank: int
    tf: int
    word: str


@exact
class Zipf(TypedDict):
    """The rank-frequency curve, from a snapshot."""

    points: list[RankPoint]
    words: int
    settled: bool
    as_of: SnapshotAsOf
