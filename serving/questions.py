"""Questions that live statistics and slices answer alike: from all aggregates, and from the whole vocabulary."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import pyarrow as pa

from serving.aggregates import Aggregates, Dimension
from serving.answers.sources import CountedSources
from serving.answers.totals import Days, Languages, LengthHistogram, Rejected, Stats, Tlds, VocabularySize
from serving.answers.words import OneWord, Words
from serving.view import EVERYTHING, View
from serving.vocabulary_snapshot import VocabularySnapshot


class Questions(ABC):
    """Statistics of some documents, wherever they come from."""

    @abstractmethod
    def aggregates(self) -> Aggregates:
        """Return everything except the words, at one instant."""

    @abstractmethod
    def snapshot(self) -> VocabularySnapshot:
        """Return the whole vocabulary."""

    @abstractmethod
    def words(self, words: Sequence[str]) -> Words:
        """Return tf, df, idf and rank of several words at one instant; zeros for unseen words."""

    def vocabulary(self, *, min_df: int = 1, max_df: float | None = None) -> pa.Table:
        """Return the vocabulary as an Arrow table.

        Args:
            min_df: Keep words that occur in at least this many documents.
            max_df: Keep words that occur in less than this share of the documents; None: no upper bound.

        Returns:
            Columns `word` (string), `tf` (int64, occurrences), `df` (int64, documents) and `idf` (float64,
            ln(documents / df)), by descending `tf`, then `word`.
        """
        return self.snapshot().table(View(min_df, max_df))

    def stats(self, view: View = EVERYTHING) -> Stats:
        """Return totals, rejected records and document lengths; words and tokens under `view`.

        Percentile p of the lengths is `sorted[int(p / 100 * documents)]`, over all kept documents.
        """
        return self.aggregates().stats(view)

    def vocabulary_size(self, view: View = EVERYTHING) -> VocabularySize:
        """Return words and tokens under `view`, and in all."""
        return self.aggregates().vocabulary_size(view)

    def lengths(self) -> LengthHistogram:
        """Return exact percentiles and a histogram of document lengths in tokens."""
        return self.aggregates().length_histogram()

    def rejected(self) -> Rejected:
        """Return rejected records by reason, most first."""
        return self.aggregates().rejected()

    def sources(self) -> CountedSources:
        """Return what has been counted of each source."""
        return self.aggregates().counted_sources()

    def pages_by(self, dimension: Dimension, limit: int | None = None, offset: int = 0) -> Languages | Tlds | Days:
        """Return pages and kept documents by language or domain, most pages first, or by day, latest first."""
        return self.aggregates().pages_by(dimension, limit, offset)

    def word(self, word: str) -> OneWord:
        """Return tf, df, idf = ln(documents / df) and rank of a word; the rank is None if it is not kept ranked."""
        answer = self.words([word])
        return {**answer["words"][0], "as_of": answer["as_of"]}
