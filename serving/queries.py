"""Live statistics: one set of questions, asked by the command line, by HTTP and from Python alike.

Thresholds (minimum document frequency, maximum share of the documents) are views: what is stored is unpruned, and any
threshold is answered exactly, at once.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from redis import Redis

from conf.errors import ExplainedError
from sinks.keys import Keys, live_key, status_key

PERCENTILES = (10, 30, 50, 70, 90, 99)
COUNTS_OF_SOURCE = ("records", "documents", "tokens", "payload_bytes")


class NoStatisticsError(ExplainedError):
    """Nothing has been counted for this pipeline yet; the message says what to do."""


@dataclass(frozen=True, slots=True)
class View:
    """Words with `min_df` <= document frequency < `max_df` x documents; None: no upper bound (the P2.1 course's rule)."""

    min_df: int = 1
    max_df: float | None = None

    def holds(self, df: int, documents: int) -> bool:
        """Whether a word with this document frequency is in the view."""
        return df >= self.min_df and (self.max_df is None or df < self.max_df * documents)

    @property
    def is_everything(self) -> bool:
        """Whether no word is left out."""
        return self.min_df <= 1 and self.max_df is None


EVERYTHING = View()


class LiveStatistics:
    """Questions to the live statistics of a pipeline. Every answer that stands alone carries `as_of`."""

    def __init__(self, client: Redis, pipeline: str) -> None:
        self._client = client
        self._pipeline = pipeline

    def stats(self, view: View = EVERYTHING) -> dict[str, Any]:
        """Totals, rejected records by reason, exact percentiles of document lengths, vocabulary under `view`.

        `length` is of all kept documents before thresholds. Percentile p is `sorted[int(p / 100 * n)]`.
        """
        keys = self._keys()
        pipe = self._client.pipeline()
        for name in ("totals", "reasons", "lengths", "df_words", "df_tokens"):
            pipe.hgetall(getattr(keys, name))
        pipe.hgetall(keys.sources)
        totals, reasons, lengths, df_words, df_tokens, sources = pipe.execute()
        total = _ints(totals)
        documents = total.get("documents", 0)
        words = {int(df): int(n) for df, n in df_words.items() if view.holds(int(df), documents)}
        tokens = {int(df): int(n) for df, n in df_tokens.items() if view.holds(int(df), documents)}
        return {
            "records": total.get("records", 0),
            "documents": documents,
            "tokens": total.get("tokens", 0) if view.is_everything else sum(tokens.values()),
            "words": total.get("words", 0) if view.is_everything else sum(words.values()),
            "payload_bytes": total.get("payload_bytes", 0),
            "rejected": dict(sorted(_ints(reasons).items())),
            "length": length_summary({int(length): int(n) for length, n in lengths.items()}),
            "sources": sum(1 for field in sources if field.startswith(b"records\t")),
            "view": {"min_df": view.min_df, "max_df": view.max_df},
            "profile": self._profile(keys),
            "as_of": self.as_of(keys),
        }

    def top(self, limit: int = 20, view: View = EVERYTHING) -> list[dict[str, Any]]:
        """The most frequent words: {word, tf, df}, by tf descending, then by word.

        Raises ValueError when more words are asked for than are kept ranked (setting redis.top_words).
        """
        keys = self._keys()
        documents = int(cast("Any", self._client.hget(keys.totals, "documents")) or 0)
        answer: list[dict[str, Any]] = []
        begin, step = 0, max(limit, 100)
        while len(answer) < limit:
            ranked = cast("list[Any]", self._client.zrange(keys.top, begin, begin + step - 1, withscores=True))
            if not ranked:
                break
            frequencies = cast("list[Any]", self._client.hmget(keys.df, [word for word, _ in ranked]))
            for (word, score), df in zip(ranked, frequencies, strict=True):
                if df is not None and view.holds(int(df), documents):
                    answer.append({"word": word.decode(), "tf": int(-score), "df": int(df)})
            begin += step
        if len(answer) < limit and begin and self._is_cut(keys):
            raise ValueError(
                f"only the {self._client.zcard(keys.top):,} most frequent words are kept ranked, and {len(answer):,} of "
                f"them are in this view: ask for fewer than {limit:,}, or raise redis.top_words and run "
                "`wetstream rebuild`"
            )
        return answer[:limit]

    def word(self, word: str) -> dict[str, Any]:
        """Term and document frequency of one word, as it is stored (lower case); zeros if it never came."""
        keys = self._keys()
        stored = word.lower()
        pipe = self._client.pipeline()
        pipe.hget(keys.tf, stored)
        pipe.hget(keys.df, stored)
        tf, df = pipe.execute()
        return {"word": stored, "tf": int(tf or 0), "df": int(df or 0)}

    def sources(self) -> list[dict[str, Any]]:
        """What is counted of each source: records, documents, tokens, payload_bytes, rejected by reason."""
        keys = self._keys()
        rows: dict[str, dict[str, Any]] = {}
        for field, n in cast("Mapping[bytes, bytes]", self._client.hgetall(keys.sources)).items():
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
        for field, n in cast("Mapping[bytes, bytes]", self._client.hgetall(getattr(self._keys(), what))).items():
            name, _, key = field.decode().partition("\t")
            rows.setdefault(key, {"name": key, "pages": 0, "documents": 0})[name] = int(n)
        return sorted(rows.values(), key=lambda row: (-row["pages"], row["name"]))

    def as_of(self, keys: Keys | None = None) -> dict[str, Any]:
        """State of the numbers: time of the last commit (Unix seconds), positions by topic partition, lag in offsets
        (None when no stream runs), and whether words of an unfinished micro-batch run ahead (`applying`)."""
        keys = keys or self._keys()
        pipe = self._client.pipeline()
        pipe.hget(keys.as_of, "time")
        pipe.get(keys.position)
        pipe.exists(keys.commit)
        pipe.hgetall(status_key(self._pipeline))
        updated, position, applying, status = pipe.execute()
        running = bool(status) and time.time() - float(status.get(b"at", 0)) < 60
        return {
            "time": float(updated) if updated else None,
            "positions": json.loads(position) if position else {},
            "lag": int(status[b"lag"]) if running and b"lag" in status else None,
            "applying": bool(applying),
        }

    def _keys(self) -> Keys:
        prefix = cast("bytes | None", self._client.get(live_key(self._pipeline)))
        if prefix is None:
            raise NoStatisticsError(
                f"nothing is counted yet for pipeline {self._pipeline}: ingest a source and stream it "
                "(`wetstream run SOURCE`)"
            )
        return Keys(prefix.decode())

    def _profile(self, keys: Keys) -> str | None:
        profile = cast("bytes | None", self._client.hget(keys.as_of, "profile"))
        return profile.decode() if profile is not None else None

    def _is_cut(self, keys: Keys) -> bool:
        ranked = self._client.zcard(keys.top)
        return ranked < int(cast("Any", self._client.hget(keys.totals, "words")) or 0)


def length_summary(lengths: Mapping[int, int]) -> dict[str, Any]:
    """min, max, mean and percentiles of {length: documents}; None for each when there are none."""
    total = sum(lengths.values())
    if not total:
        return dict.fromkeys(("min", "max", "mean", *(f"p{p}" for p in PERCENTILES)))
    ordered = sorted(lengths)
    summary: dict[str, Any] = {
        "min": ordered[0],
        "max": ordered[-1],
        "mean": round(sum(length * n for length, n in lengths.items()) / total, 2),
    }
    wanted = {f"p{p}": int(p / 100 * total) for p in PERCENTILES}
    below = 0
    for length in ordered:
        below += lengths[length]
        for name, rank in wanted.items():
            if name not in summary and rank < below:
                summary[name] = length
    return summary


def _ints(fields: Mapping[bytes, bytes]) -> dict[str, int]:
    return {field.decode(): int(n) for field, n in fields.items()}
