"""Questions to a slice: those of the live statistics, with the same answers."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import pyarrow as pa

from serving.aggregates import PARTS, Aggregates, parse_aggregates
from serving.answers.shape import AsOf
from serving.answers.words import Top, Word, Words
from serving.as_of import Instant
from serving.questions import Questions
from serving.slices.count import SliceCounts
from serving.slices.slice import Slice
from serving.top_words import RankBy
from serving.view import EVERYTHING, View
from serving.vocabulary_snapshot import VocabularySnapshot
from serving.word_lookup import inverse_document_frequency
from sinks.keys import Keys


class SliceStatistics(Questions):
    """Statistics of a part of the corpus, at a version of the documents table; see `LiveStatistics` for the methods.

    They are of one instant and never change. `as_of` holds the positions of that version and the time of its commit.

    Args:
        counted: What was counted.
    """

    def __init__(self, counted: SliceCounts) -> None:
        self._counted = counted

    @property
    def slice(self) -> Slice:
        """The slice."""
        return self._counted.slice

    @property
    def counted(self) -> SliceCounts:
        """What was counted."""
        return self._counted

    @property
    def table_version(self) -> int:
        """Version of the documents table."""
        return self._counted.documents.version

    def aggregates(self) -> Aggregates:
        """Return everything except the words."""
        return self._aggregates

    def snapshot(self) -> VocabularySnapshot:
        """Return the whole vocabulary."""
        return self._snapshot

    def top(self, limit: int = 20, view: View = EVERYTHING, *, by: RankBy = "tf", offset: int = 0) -> Top:
        """Return the most frequent words, by tf (or df) descending, then by word; all words are ranked."""
        found = self._snapshot.search(by, limit, offset, view)
        return {
            "words": [{"word": row["word"], "tf": row["tf"], "df": row["df"]} for row in found["words"]],
            "by": by,
            "view": view.thresholds,
            "as_of": self.as_of(),
        }

    def words(self, words: Sequence[str]) -> Words:
        """Return tf, df, idf and rank of several words; zeros for unseen words."""
        snapshot = self._snapshot
        found: list[Word] = []
        for word in (each.lower() for each in words):
            number = snapshot.find(word)
            tf, df = (0, 0) if number is None else (int(snapshot.tf[number]), int(snapshot.df[number]))
            idf = inverse_document_frequency(df, snapshot.documents)
            found.append({"word": word, "tf": tf, "df": df, "idf": idf, "rank": snapshot.rank(word)})
        return {"words": found, "documents": snapshot.documents, "as_of": self.as_of()}

    def as_of(self) -> AsOf:
        """Return the state of the numbers."""
        return self._instant.as_of

    @cached_property
    def _instant(self) -> Instant:
        documents = self._counted.documents
        as_of: AsOf = {
            "time": self._counted.committed,
            "positions": documents.position(),
            "lag": None,
            "applying": False,
            "streaming": False,
        }
        return Instant(as_of, f"{documents.table_id}/{documents.version}")

    @cached_property
    def _aggregates(self) -> Aggregates:
        documents, counts = self._counted.documents, self._counted.counts
        replies = [{field.encode(): b"%d" % n for field, n in counts[name].items()} for name in PARTS]
        profile = documents.properties.get("profile")
        keys = Keys(f"documents at version {documents.version}")
        return parse_aggregates(keys, self._instant, [None if profile is None else profile.encode(), *replies])

    @cached_property
    def _snapshot(self) -> VocabularySnapshot:
        words = self._counted.words.combine_chunks()
        columns = [words[name].to_numpy().astype(np.int64) for name in ("tf", "df")]
        text = words["word"].cast(pa.binary()).combine_chunks()
        documents = self._counted.counts["totals"].get("documents", 0)
        return VocabularySnapshot(text, columns[0], columns[1], documents, self._instant, True, time.time(), 0.0)
