"""The words of a topic model: chosen by document frequency, numbered once and for all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from sinks.statistics.sums import sum_words
from sinks.statistics.word_counts import count_words

MERGE_TABLES = 32


@dataclass(frozen=True, slots=True)
class WordRules:
    """Which words a model has.

    Attributes:
        min_df: Words in fewer documents are left out.
        max_df: Words in at least this share of the documents are left out; None: no upper bound.
        size: At most so many words, those in most documents; among equals the first by their UTF-8 bytes.
    """

    min_df: int = 5
    max_df: float | None = 0.5
    size: int = 100_000


@dataclass(frozen=True)
class WordCounts:
    """Words of some documents.

    Attributes:
        table: Columns word (binary), tf and df (int64), in bytewise order of the words.
        documents: Documents that were counted.
    """

    table: pa.Table
    documents: int

    @classmethod
    def of(cls, parts: Iterable[pa.Table]) -> Self:
        """Count documents rows, in the memory of their vocabulary and a part."""
        tables: list[pa.Table] = []
        documents = 0
        for part in parts:
            documents += part.num_rows
            tables += map(count_words, part.select(["words", "counts"]).to_batches())
            if len(tables) >= MERGE_TABLES:
                tables = [sum_words(tables)]
        return cls(sum_words(tables), documents)

    def chosen(self, rules: WordRules) -> pa.Table:
        """Return the words that the rules choose, in bytewise order."""
        df = self.table["df"].to_numpy()
        held = df >= rules.min_df
        if rules.max_df is not None:
            held &= df < rules.max_df * self.documents
        found = np.flatnonzero(held)
        found = np.sort(found[np.argsort(-df[found], kind="stable")[: rules.size]])
        return self.table.take(pa.array(found)).combine_chunks()

    def too_frequent(self, rules: WordRules) -> list[str]:
        """Return the words that are in so large a share of the documents that the rules leave them out."""
        if rules.max_df is None:
            return []
        frequent = self.table.filter(pa.array(self.table["df"].to_numpy() >= rules.max_df * self.documents))
        words: list[str] = frequent["word"].cast(pa.string()).to_pylist()
        return words


@dataclass(frozen=True)
class TopicVocabulary:
    """The words of a model; the id of a word is its row, and never changes.

    Attributes:
        table: Columns word (binary), tf and df (int64): those of the training's documents.
    """

    table: pa.Table

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @property
    def words(self) -> list[str]:
        """The words by id."""
        words: list[str] = self.table["word"].cast(pa.string()).to_pylist()
        return words

    def ids(self, words: pa.Array) -> NDArray[np.int32]:
        """Return the ids of words (strings, dictionary-encoded or not); -1 for a word that is not in it."""
        if pa.types.is_dictionary(words.type):
            found: NDArray[np.int32] = self.ids(words.dictionary)[words.indices.to_numpy()]
            return found
        place = pc.index_in(words.cast(pa.binary()), whole(self.table["word"]))
        ids: NDArray[np.int32] = pc.fill_null(place, -1).to_numpy(zero_copy_only=False)
        return ids

    def updated(self, counts: WordCounts, rules: WordRules, left_out: Sequence[str]) -> TopicVocabulary:
        """Return the vocabulary after more documents: counts added, and words that are new at the end.

        A word enters when the rules choose it by its frequency in the new documents alone.

        Args:
            counts: The words of the new documents.
            rules: Which words enter.
            left_out: Words that never enter: those that were too frequent before.
        """
        ids = self.ids(whole(counts.table["word"]))
        known = np.flatnonzero(ids >= 0)
        tf, df = (self.table[name].to_numpy().copy() for name in ("tf", "df"))
        tf[ids[known]] += counts.table["tf"].to_numpy()[known]
        df[ids[known]] += counts.table["df"].to_numpy()[known]
        barred = pc.is_in(counts.table["word"], pa.array([word.encode() for word in left_out], pa.binary()))
        unknown = WordCounts(counts.table.filter(pa.array((ids < 0) & ~barred.to_numpy())), counts.documents)
        fresh = unknown.chosen(replace(rules, size=max(0, rules.size - len(self))))
        old = pa.table({"word": self.table["word"], "tf": tf, "df": df})
        return TopicVocabulary(pa.concat_tables([old, fresh.select(["word", "tf", "df"])]).combine_chunks())


def whole(column: pa.ChunkedArray) -> pa.Array:
    """A column as one array."""
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks or [pa.array([], column.type)])
