"""All statistics except the words, read at one instant.

They are small whatever the size of the crawl (the largest parts grow with the number of distinct document lengths and
document frequencies), so the HTTP server keeps them in memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray
from redis import Redis

from serving.answers.sources import CountedSources, SourceCounts
from serving.answers.totals import (
    Days,
    Frequencies,
    Languages,
    LengthHistogram,
    Lengths,
    PageCount,
    Rejected,
    Stats,
    Tlds,
    VocabularySize,
)
from serving.as_of import Instant
from serving.atomic_read import corruption_explained, read_atomically
from serving.lengths import histogram, length_summary
from serving.view import EVERYTHING, View
from sinks.keys import Keys
from sinks.statistics.stored import parse_counts

Dimension = Literal["languages", "tlds", "days"]
DIMENSIONS: tuple[Dimension, ...] = ("languages", "tlds", "days")
TOTALS = ("records", "documents", "tokens", "words", "payload_bytes")
COUNTS_OF_SOURCE = ("records", "documents", "tokens", "payload_bytes")
PARTS = ("totals", "reasons", "lengths", "df_words", "df_tokens", "sources", *DIMENSIONS)

Fields = Mapping[bytes, bytes]


@dataclass(frozen=True)
class ByDf:
    """Words and tokens by document frequency: arrays of the same length, `df` ascending."""

    df: NDArray[np.int64]
    words: NDArray[np.int64]
    tokens: NDArray[np.int64]


@dataclass(frozen=True)
class Aggregates:
    """The statistics under `keys` at one instant.

    Attributes:
        totals: Records, documents, tokens, words and payload_bytes.
        reasons: Rejected records by reason.
        lengths: Kept documents by length in tokens.
        by_df: Words and tokens by document frequency.
        sources: What has been counted of each source, in order of their names.
        pages: Pages and kept documents by language and top-level domain, most pages first, and by day, latest first.
    """

    keys: Keys
    instant: Instant
    profile: str | None
    totals: Mapping[str, int]
    reasons: Mapping[str, int]
    lengths: Mapping[int, int]
    by_df: ByDf
    sources: Sequence[SourceCounts]
    pages: Mapping[Dimension, Sequence[PageCount]]

    @cached_property
    def length_summary(self) -> Lengths:
        """Minimum, maximum, mean and percentiles of document lengths."""
        return length_summary(self.lengths)

    def stats(self, view: View = EVERYTHING) -> Stats:
        """Return totals, rejected records and document lengths; words and tokens under `view`."""
        size = self.vocabulary_size(view)
        return {
            "records": self.totals["records"],
            "documents": self.totals["documents"],
            "tokens": size["tokens"],
            "words": size["words"],
            "payload_bytes": self.totals["payload_bytes"],
            "rejected": dict(sorted(self.reasons.items())),
            "length": self.length_summary,
            "sources": sum(1 for source in self.sources if source["records"]),
            "view": view.thresholds,
            "profile": self.profile,
            "as_of": self.instant.as_of,
        }

    def vocabulary_size(self, view: View = EVERYTHING) -> VocabularySize:
        """Return words and tokens under `view`, and in all."""
        documents = self.totals["documents"]
        words, tokens = self.totals["words"], self.totals["tokens"]
        if not view.is_everything:
            span = view.span(self.by_df.df, documents)
            words, tokens = int(self.by_df.words[span].sum()), int(self.by_df.tokens[span].sum())
        return {
            "words": words,
            "tokens": tokens,
            "documents": documents,
            "of_words": self.totals["words"],
            "of_tokens": self.totals["tokens"],
            "view": view.thresholds,
            "as_of": self.instant.as_of,
        }

    def frequencies(self) -> Frequencies:
        """Return words and tokens by document frequency; the counts under any thresholds are sums of these."""
        return {
            "documents": self.totals["documents"],
            "df": self.by_df.df.tolist(),
            "words": self.by_df.words.tolist(),
            "tokens": self.by_df.tokens.tolist(),
            "as_of": self.instant.as_of,
        }

    def length_histogram(self) -> LengthHistogram:
        """Return exact percentiles and a histogram of document lengths."""
        return {
            "documents": self.totals["documents"],
            "length": self.length_summary,
            "bins": histogram(self.lengths),
            "as_of": self.instant.as_of,
        }

    def rejected(self) -> Rejected:
        """Return rejected records by reason, most first."""
        rows = sorted(self.reasons.items(), key=lambda row: (-row[1], row[0]))
        return {
            "records": self.totals["records"],
            "rejected": sum(n for _, n in rows),
            "reasons": [{"reason": reason, "records": n} for reason, n in rows],
            "as_of": self.instant.as_of,
        }

    def counted_sources(self) -> CountedSources:
        """Return what has been counted of each source."""
        return {"sources": list(self.sources), "as_of": self.instant.as_of}

    def pages_by(self, dimension: Dimension, limit: int | None = None, offset: int = 0) -> Languages | Tlds | Days:
        """Return pages and kept documents by language or domain, most pages first, or by day, latest first."""
        rows = self.pages[dimension]
        end = None if limit is None else offset + limit
        answer = {dimension: list(rows[offset:end]), "total": len(rows), "as_of": self.instant.as_of}
        return cast("Languages | Tlds | Days", answer)


def queue_aggregates(pipe: Any, keys: Keys) -> None:
    """Queue the commands whose AGGREGATES_REPLIES replies `parse_aggregates` takes."""
    pipe.hget(keys.as_of, "profile")
    for name in PARTS:
        pipe.hgetall(getattr(keys, name))


AGGREGATES_REPLIES = 1 + len(PARTS)


def parse_aggregates(keys: Keys, instant: Instant, replies: Sequence[Any]) -> Aggregates:
    """Parse the replies to `queue_aggregates`.

    Raises:
        CorruptStatisticsError: A key holds something that wetstream did not write; the message names it.
    """
    profile = replies[0]
    parts: dict[str, Fields] = dict(zip(PARTS, replies[1:], strict=True))
    with corruption_explained(keys.as_of):
        profile_name = None if profile is None else profile.decode()
    counted = parse_counts(keys.totals, parts["totals"])
    totals = {name: counted.get(name, 0) for name in TOTALS}
    reasons = parse_counts(keys.reasons, parts["reasons"])
    with corruption_explained(keys.lengths):
        lengths = {int(length): int(n) for length, n in parts["lengths"].items()}
    with corruption_explained(keys.df_words):
        by_df = _by_df(parts["df_words"], parts["df_tokens"])
    with corruption_explained(keys.sources):
        sources = _sources(parts["sources"])
    pages = {}
    for dimension in DIMENSIONS:
        with corruption_explained(getattr(keys, dimension)):
            rows = _pages(parts[dimension])
            pages[dimension] = sorted(rows, key=itemgetter("name"), reverse=True) if dimension == "days" else rows
    return Aggregates(keys, instant, profile_name, totals, reasons, lengths, by_df, sources, pages)


def read_aggregates(client: Redis, pipeline: str) -> Aggregates:
    """Read all statistics except the words. Raises NoStatisticsError, CorruptStatisticsError, RedisError."""
    return parse_aggregates(*read_atomically(client, pipeline, queue_aggregates))


def _by_df(words: Fields, tokens: Fields) -> ByDf:
    columns = (words.keys(), words.values(), (tokens.get(df, b"0") for df in words))
    df, n, of_tokens = (np.array(list(map(int, column)), np.int64) for column in columns)
    order = np.argsort(df)
    return ByDf(df[order], n[order], of_tokens[order])


def _sources(fields: Fields) -> list[SourceCounts]:
    rows: dict[str, SourceCounts] = {}
    for field, n in fields.items():
        name, _, rest = field.decode().partition("\t")
        reason, _, source = rest.partition("\t") if name == "rejected" else ("", "", rest)
        row = rows.get(source)
        if row is None:
            row = rows[source] = {
                "source": source,
                "records": 0,
                "documents": 0,
                "tokens": 0,
                "payload_bytes": 0,
                "rejected": {},
            }
        if name == "rejected":
            row["rejected"][reason] = int(n)
        elif name in COUNTS_OF_SOURCE:
            row[name] = int(n)  # type: ignore[literal-required]
        else:
            raise ValueError(f"unknown field {field[:80]!r}")
    return [rows[source] for source in sorted(rows)]


def _pages(fields: Fields) -> list[PageCount]:
    rows: dict[str, PageCount] = {}
    for field, n in fields.items():
        kind, _, name = field.decode().partition("\t")
        row = rows.get(name)
        if row is None:
            row = rows[name] = {"name": name, "pages": 0, "documents": 0}
        if kind == "pages":
            row["pages"] = int(n)
        elif kind == "documents":
            row["documents"] = int(n)
        else:
            raise ValueError(f"unknown field {field[:80]!r}")
    return sorted(rows.values(), key=lambda row: (-row["pages"], row["name"]))
