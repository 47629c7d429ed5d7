"""Answers about sources and about the stream that processes them."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict

from serving.answers.shape import Answer, Page, exact


@exact
class SourceCounts(TypedDict):
    """What has been counted of a source."""

    source: str
    records: int
    documents: int
    tokens: int
    payload_bytes: int
    rejected: dict[str, int]


@exact
class CountedSources(Answer):
    """All sources, as counted."""

    sources: list[SourceCounts]


@exact
class Source(SourceCounts):
    """A source from file to statistics."""

    crawl: str
    segment: str
    state: Annotated[str, Field(description="ingesting, streaming, truncated, damaged, done or faulty")]
    produced: Annotated[int, Field(description="records in the topic")]
    produced_bytes: int | None
    updated: float | None
    size_bytes: Annotated[int | None, Field(description="of the file, compressed; null when no broker answers")]
    read_bytes: int | None


@exact
class Sources(Page):
    """Sources, in order of their names."""

    sources: list[Source]


@exact
class SourceGroup(TypedDict):
    """A crawl or a segment, summed over its sources."""

    name: str
    sources: int
    done: int
    produced: int
    records: int
    documents: int
    tokens: int
    payload_bytes: int
    rejected: int


@exact
class SourceGroups(Page):
    """Crawls or segments."""

    groups: list[SourceGroup]


@exact
class GrowthPoint(TypedDict):
    """Size of the vocabulary after this many tokens; `time` null: now."""

    time: float | None
    tokens: int
    words: int
    documents: int


@exact
class Growth(Answer):
    """Growth of the vocabulary with the tokens (Heaps' curve)."""

    points: list[GrowthPoint]


@with_config(ConfigDict(extra="allow"))
class Batch(TypedDict):
    """A micro-batch. `seconds` by phase: Spark's names, and table, redis and compact within its addBatch."""

    at: float
    rows: int
    rows_per_s: float
    lag: int
    seconds: dict[str, float]


@exact
class Batches(Answer):
    """Micro-batches, newest first."""

    batches: list[Batch]
