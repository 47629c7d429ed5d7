"""The vocabulary of an export: words of the chosen documents, counted, under thresholds, numbered from 0."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from serving.view import View
from sinks.statistics.sums import sum_words
from sinks.statistics.word_counts import count_words

MERGE_TABLES = 32


@dataclass(frozen=True)
class Vocabulary:
    """Words in bytewise order, or in that of their stable ids; the id of a word is its row.

    Attributes:
        table: Columns word (binary), tf and df (int64).
        documents: Documents that were counted, including those without a word.
        held: Which of the words are exported, bool [n]; None: all.
    """

    table: pa.Table
    documents: int
    held: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return self.table.num_rows

    def under(self, view: View, stop_words: Collection[bytes] = ()) -> Vocabulary:
        """Return the words that are in the view and no stop words, with unchanged frequencies."""
        held = view.mask(self.table["df"].to_numpy(), self.documents)
        if stop_words:
            stops = pc.is_in(self.table["word"], pa.array(sorted(stop_words), pa.binary()))
            held &= ~stops.to_numpy()
        return Vocabulary(self.table.filter(pa.array(held)).combine_chunks(), self.documents)

    @property
    def words(self) -> int:
        """Number of words that are exported."""
        return len(self) if self.held is None else int(np.count_nonzero(self.held))

    def ids(self, words: pa.Array) -> NDArray[np.int32]:
        """Return the ids of words; -1 for a word that is not in the vocabulary."""
        place = pc.index_in(words.cast(pa.binary()), self.table["word"])
        ids: NDArray[np.int32] = pc.fill_null(place, -1).to_numpy(zero_copy_only=False)
        return ids if self.held is None or not len(self.held) else np.where((ids >= 0) & self.held[ids], ids, -1)


def count(batches: Iterable[pa.RecordBatch]) -> Vocabulary:
    """Count the words of documents rows, in the memory of the vocabulary and a batch."""
    tables: list[pa.Table] = []
    documents = 0
    for batch in batches:
        documents += batch.num_rows
        tables.append(count_words(batch))
        if len(tables) >= MERGE_TABLES:
            tables = [sum_words(tables)]
    return Vocabulary(sum_words(tables), documents)


def encoded(batch: pa.RecordBatch) -> pa.DictionaryArray:
    """The words of a batch, one bag behind the other, dictionary-encoded."""
    words = batch.column("words").flatten()
    return words if pa.types.is_dictionary(words.type) else words.dictionary_encode()
