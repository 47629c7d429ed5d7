"""Two slices side by side."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from serving.aggregates import Dimension
from serving.slices.count import count_urls
from serving.slices.keyness import log_likelihood, log_ratio, significance
from serving.slices.statistics import SliceStatistics

CompareBy = Literal["g2", "ratio"]
PER = 1_000_000


class Comparison:
    """What sets two slices apart. Every number is exact: both sides were counted, not sampled.

    Attributes:
        a: The first slice.
        b: The second slice.
    """

    def __init__(self, a: SliceStatistics, b: SliceStatistics) -> None:
        self.a = a
        self.b = b

    def words(self, *, by: CompareBy = "g2", min_df: int = 1, limit: int | None = None) -> pa.Table:
        """Return all words: those that the first slice uses more come first, those that the second uses more last.

        Args:
            by: Order: `g2`, how sure the difference is, or `ratio`, how large it is.
            min_df: Only words that occur in at least this many documents of both slices together.
            limit: Only so many words from each end; None: all words.

        Returns:
            Columns `word`, `tf_a`, `tf_b`, `df_a`, `df_b` (int64), `per_million_a`, `per_million_b`, `log_ratio`, `g2`
            (negative where the second slice uses the word more) and `p` (float64; of one word, not corrected for their
            number). Words of equal rank are in order of the words.
        """
        table = self._table.filter(pc.greater_equal(pc.add(self._table["df_a"], self._table["df_b"]), min_df))
        key = table["g2" if by == "g2" else "log_ratio"].to_numpy()
        order = np.argsort(-key, kind="stable")
        if limit is not None and len(order) > 2 * limit:
            order = np.concatenate([order[:limit], order[-limit:]]) if limit else order[:0]
        table = table.take(pa.array(order))
        return table.append_column("p", pa.array(significance(table["g2"].to_numpy())))

    def new_words(self) -> int:
        """Return how many words only the second slice has."""
        return int(pc.sum(pc.equal(self._table["tf_a"], 0)).as_py() or 0)

    def gone_words(self) -> int:
        """Return how many words only the first slice has."""
        return int(pc.sum(pc.equal(self._table["tf_b"], 0)).as_py() or 0)

    def shares(self, dimension: Dimension) -> list[dict[str, Any]]:
        """Return pages by language, top-level domain or day, with their share of all pages of a slice.

        Returns:
            Rows with `name`, `pages_a`, `pages_b`, `share_a` and `share_b` (None where a slice has no pages), the
            largest difference of the shares first.
        """
        sides = [{row["name"]: row["pages"] for row in side.aggregates().pages[dimension]} for side in (self.a, self.b)]
        totals = [sum(side.values()) for side in sides]
        rows = []
        for name in sorted(sides[0].keys() | sides[1].keys()):
            pages = [side.get(name, 0) for side in sides]
            shares = [n / total if total else None for n, total in zip(pages, totals, strict=True)]
            rows.append(
                {"name": name, "pages_a": pages[0], "pages_b": pages[1], "share_a": shares[0], "share_b": shares[1]}
            )
        return sorted(rows, key=lambda row: (-abs((row["share_a"] or 0) - (row["share_b"] or 0)), row["name"]))

    @cached_property
    def urls(self) -> dict[str, int]:
        """Distinct URLs of kept documents: of `a`, of `b`, and in `both`. Counted when first asked for."""
        a, b, both = count_urls(self.a.counted, self.b.counted)
        return {"a": a, "b": b, "both": both}

    def answer(self, *, by: CompareBy = "g2", min_df: int = 1, limit: int | None = 20) -> dict[str, Any]:
        """Return all of it as dictionaries and lists, as `wetstream diff --json` prints it."""
        sides = {
            name: {"slice": str(side.slice), "table_version": side.table_version, **side.stats()}
            for name, side in (("a", self.a), ("b", self.b))
        }
        return {
            **sides,
            "words": self.words(by=by, min_df=min_df, limit=limit).to_pylist(),
            "new_words": self.new_words(),
            "gone_words": self.gone_words(),
            "urls": self.urls,
            "languages": self.shares("languages")[:limit],
            "tlds": self.shares("tlds")[:limit],
        }

    @cached_property
    def _table(self) -> pa.Table:
        """All words of both slices, in bytewise order."""
        a, b = self.a.snapshot(), self.b.snapshot()
        words = pc.unique(pa.concat_arrays([a.words, b.words]))
        words = words.take(pc.array_sort_indices(words))
        at_a, at_b = _positions(a.words, words), _positions(b.words, words)
        tf_a, tf_b = _spread(a.tf, at_a), _spread(b.tf, at_b)
        totals = int(a.tf.sum()), int(b.tf.sum())
        return pa.table(
            {
                "word": words.cast(pa.string()),
                "tf_a": tf_a,
                "tf_b": tf_b,
                "df_a": _spread(a.df, at_a),
                "df_b": _spread(b.df, at_b),
                "per_million_a": tf_a * (PER / max(1, totals[0])),
                "per_million_b": tf_b * (PER / max(1, totals[1])),
                "log_ratio": log_ratio(tf_a, tf_b, *totals),
                "g2": log_likelihood(tf_a, tf_b, *totals),
            }
        )


def _positions(of: pa.Array, words: pa.Array) -> NDArray[np.int64]:
    """Where each of `words` is in `of`; -1: nowhere."""
    found = pc.fill_null(pc.index_in(words, value_set=of), -1)
    result: NDArray[np.int64] = found.to_numpy(zero_copy_only=False).astype(np.int64)
    return result


def _spread(values: NDArray[np.int64], positions: NDArray[np.int64]) -> NDArray[np.int64]:
    if not len(values):
        return np.zeros(len(positions), np.int64)
    return np.where(positions >= 0, values[positions], 0)
