"""One reading of all statistics but the words, made at one instant; and the answers that it holds.

It is small whatever the size of the crawl (its largest parts grow with the number of different document lengths and
document frequencies), so the HTTP server keeps one and answers from memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from redis import Redis

from serving.as_of import AsOf
from serving.atomic_read import NoStatisticsError as NoStatisticsError
from serving.atomic_read import read_atomically
from serving.lengths import histogram, length_summary
from serving.view import EVERYTHING, View
from sinks.keys import Keys

COUNTS_OF_SOURCE = ("records", "documents", "tokens", "payload_bytes")
SEEN = ("languages", "tlds", "days")
PARTS = ("totals", "reasons", "lengths", "df_words", "df_tokens", "sources", *SEEN)

Fields = Mapping[bytes, bytes]


@dataclass(frozen=True)
class ByDf:
    """Words and tokens by document frequency: three arrays of the same length, `df` ascending."""

    df: NDArray[np.int64]
    words: NDArray[np.int64]
    tokens: NDArray[np.int64]


@dataclass(frozen=True)
class Aggregates:
    """What Redis held at one instant."""

    keys: Keys
    as_of: AsOf
    profile: str | None
    parts: Mapping[str, Fields]

    @cached_property
    def totals(self) -> dict[str, int]:
        """records, documents, tokens, words, payload_bytes."""
        held = _ints(self.parts["totals"])
        return {name: held.get(name, 0) for name in ("records", "documents", "tokens", "words", "payload_bytes")}

    @cached_property
    def lengths(self) -> dict[int, int]:
        """Documents by length in tokens."""
        return {int(length): int(n) for length, n in self.parts["lengths"].items()}

    @cached_property
    def by_df(self) -> ByDf:
        """Words and their tokens by document frequency."""
        words, tokens = self.parts["df_words"], self.parts["df_tokens"]
        columns = (words.keys(), words.values(), (tokens.get(df, b"0") for df in words))
        df, n, of_tokens = (np.fromstring(b" ".join(column), np.int64, sep=" ") for column in columns)
        order = np.argsort(df)
        return ByDf(df[order], n[order], of_tokens[order])

    def prepare(self) -> None:
        """Reckon now what answers need again and again, and take long to make of very large crawls."""
        _ = self.by_df, self._summary

    @cached_property
    def _summary(self) -> dict[str, Any]:
        return length_summary(self.lengths)

    def stats(self, view: View = EVERYTHING) -> dict[str, Any]:
        """Totals, rejected records by reason, exact percentiles of lengths; words and tokens under `view`.

        `length` is of all kept documents before thresholds.
        """
        counted = self.vocabulary(view)
        return {
            **self.totals,
            "tokens": counted["tokens"],
            "words": counted["words"],
            "rejected": dict(sorted(_ints(self.parts["reasons"]).items())),
            "length": self._summary,
            "sources": sum(1 for field in self.parts["sources"] if field.startswith(b"records\t")),
            "view": view.to_json(),
            "profile": self.profile,
            "as_of": self.as_of.answer,
        }

    def vocabulary(self, view: View = EVERYTHING) -> dict[str, Any]:
        """Words and tokens under `view`, exactly, beside those of everything."""
        whole = {"words": self.totals["words"], "tokens": self.totals["tokens"]}
        if view.is_everything:
            held = whole
        else:
            documents, by_df = self.totals["documents"], self.by_df
            begin = int(np.searchsorted(by_df.df, view.min_df))
            end = len(by_df.df)
            if view.max_df is not None:
                end = int(np.searchsorted(by_df.df, view.max_df * documents))
            part = slice(begin, max(begin, end))
            held = {"words": int(by_df.words[part].sum()), "tokens": int(by_df.tokens[part].sum())}
        return {
            **held,
            "documents": self.totals["documents"],
            "of_words": whole["words"],
            "of_tokens": whole["tokens"],
            "view": view.to_json(),
            "as_of": self.as_of.answer,
        }

    def frequencies(self) -> dict[str, Any]:
        """Words and tokens by document frequency, as three lists: from them any threshold is a sum."""
        return {
            "documents": self.totals["documents"],
            "df": self.by_df.df.tolist(),
            "words": self.by_df.words.tolist(),
            "tokens": self.by_df.tokens.tolist(),
            "as_of": self.as_of.answer,
        }

    def length_histogram(self) -> dict[str, Any]:
        """Exact percentiles of the lengths of documents, and a histogram of them."""
        return {
            "documents": self.totals["documents"],
            "length": self._summary,
            "bins": histogram(self.lengths),
            "as_of": self.as_of.answer,
        }

    def rejected(self) -> dict[str, Any]:
        """Rejected records by reason, most first."""
        rows = sorted(_ints(self.parts["reasons"]).items(), key=lambda row: (-row[1], row[0]))
        return {
            "records": self.totals["records"],
            "rejected": sum(n for _, n in rows),
            "reasons": [{"reason": reason, "records": n} for reason, n in rows],
            "as_of": self.as_of.answer,
        }

    @cached_property
    def sources(self) -> list[dict[str, Any]]:
        """What is counted of each source: records, documents, tokens, payload_bytes, rejected by reason."""
        rows: dict[str, dict[str, Any]] = {}
        for field, n in self.parts["sources"].items():
            name, _, rest = field.decode().partition("\t")
            reason, _, source = rest.partition("\t") if name == "rejected" else ("", "", rest)
            row = rows.setdefault(source, {"source": source, **dict.fromkeys(COUNTS_OF_SOURCE, 0), "rejected": {}})
            if name == "rejected":
                row["rejected"][reason] = int(n)
            else:
                row[name] = int(n)
        return [rows[source] for source in sorted(rows)]

    def seen(self, what: str) -> list[dict[str, Any]]:
        """Pages and kept documents by `languages`, `tlds` or `days`, most pages first."""
        rows: dict[str, dict[str, Any]] = {}
        for field, n in self.parts[what].items():
            name, _, key = field.decode().partition("\t")
            rows.setdefault(key, {"name": key, "pages": 0, "documents": 0})[name] = int(n)
        return sorted(rows.values(), key=lambda row: (-row["pages"], row["name"]))


def queue_aggregates(pipe: Any, keys: Keys) -> None:
    """Queue the commands whose replies `parse_aggregates` takes on a Redis pipeline."""
    pipe.hget(keys.as_of, "profile")
    for name in PARTS:
        pipe.hgetall(getattr(keys, name))


AGGREGATES_REPLIES = 1 + len(PARTS)


def parse_aggregates(keys: Keys, as_of: AsOf, replies: Sequence[Any]) -> Aggregates:
    """The reading from the replies."""
    profile, *parts = replies
    return Aggregates(keys, as_of, None if profile is None else profile.decode(), dict(zip(PARTS, parts, strict=True)))


def read(client: Redis, pipeline: str) -> Aggregates:
    """Read everything but the words, at one instant. Raises NoStatisticsError, RedisError."""
    return parse_aggregates(*read_atomically(client, pipeline, queue_aggregates))


def _ints(fields: Fields) -> dict[str, int]:
    return {field.decode(): int(n) for field, n in fields.items()}
