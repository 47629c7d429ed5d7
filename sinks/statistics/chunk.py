"""One chunk of a micro-batch's words: builds the Redis commands that add it to the statistics.

Works on columns throughout; a word is an element of an Arrow array, never a Python object.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from sinks.keys import Keys
from sinks.statistics.resp import packed, packed_column, packed_rows
from sinks.statistics.stored import parse_word_counts
from sinks.statistics.word_counts import packed_entries


@dataclass(frozen=True, slots=True)
class TopCutoff:
    """The last word of a full `top` ranking and its tf; tf 0 while the ranking is not full."""

    word: bytes = b""
    tf: int = 0


@dataclass(frozen=True, slots=True)
class DfHistogramDelta:
    """A change of the histogram of words by document frequency.

    Attributes:
        rows: Array [n, 3]: df (unique), words to add, tokens to add.
    """

    rows: NDArray[np.int64]

    @classmethod
    def from_bytes(cls, data: bytes) -> DfHistogramDelta:
        """Parse the result of `to_bytes`."""
        return cls(np.frombuffer(data, "<i8").reshape(-1, 3))

    def to_bytes(self) -> bytes:
        """Serialize, to store in Redis."""
        return self.rows.astype("<i8").tobytes()

    @classmethod
    def of(cls, rows: NDArray[np.int64]) -> DfHistogramDelta:
        """Add up rows in which a df may occur more than once."""
        if not len(rows):
            return cls(rows)
        rows = rows[np.argsort(rows[:, 0])]
        first = np.flatnonzero(np.diff(rows[:, 0], prepend=-1))
        summed = np.add.reduceat(rows, first)
        summed[:, 0] = rows[first, 0]
        return cls(summed[summed[:, 1:].any(axis=1)])

    @property
    def words(self) -> int:
        """Number of words that the vocabulary gains."""
        return int(self.rows[:, 1].sum())

    def by_df(self) -> tuple[dict[str, int], dict[str, int]]:
        """Words and tokens to add, by df."""
        dfs = [str(df) for df in self.rows[:, 0].tolist()]
        words, tokens = (dict(zip(dfs, column, strict=True)) for column in self.rows[:, 1:].T.tolist())
        return words, tokens


@dataclass(frozen=True, slots=True)
class Chunk:
    """Words and the counts to add to them.

    Attributes:
        words: Unique, in bytewise order.
        packed: `words` encoded as arguments of a command (`resp.packed_column`).
        tf: Added to their term frequencies; may be negative.
        df: Added to their document frequencies; may be negative.
    """

    words: pa.BinaryArray
    packed: pa.BinaryArray
    tf: NDArray[np.int64]
    df: NDArray[np.int64]

    def commands(
        self, entries: Sequence[bytes | None] | None, cutoff: TopCutoff, keys: Keys, top_words: int
    ) -> tuple[list[bytes], DfHistogramDelta]:
        """Build the commands that update `words` and `top`.

        Args:
            entries: The current entries of these words in `words`; None if Redis holds no words yet.
            cutoff: Last word of the current ranking, if it is full; spares a ZADD for every word below it.
            keys: Keys of the statistics.
            top_words: Number of words to keep ranked.

        Returns:
            The encoded commands, and how they change the histogram of document frequencies.

        Raises:
            CorruptStatisticsError: An entry is malformed.
        """
        known = np.zeros(len(self.words), np.bool_)
        old_tf, old_df = np.zeros_like(self.tf), np.zeros_like(self.df)
        if entries is not None:
            known[:] = [entry is not None for entry in entries]
            old = parse_word_counts(keys.words, [entry for entry in entries if entry is not None])
            old_tf[known], old_df[known] = old[:, 0], old[:, 1]
        tf, df = old_tf + self.tf, old_df + self.df
        kept = df > 0
        ranked = kept & (tf > cutoff.tf)
        for index in np.flatnonzero(kept & (tf == cutoff.tf)):
            ranked[index] = self.words[index].as_py() <= cutoff.word
        commands = []
        if kept.any():
            entries_of = packed_entries(self._packed(kept), tf[kept], df[kept])
            commands.append(packed_rows(["HSET", keys.words], entries_of, 2))
        if ranked.any():
            scores = packed_column(pa.array(-tf[ranked]).cast(pa.string()).cast(pa.binary()))
            pairs = pc.binary_join_element_wise(scores, self._packed(ranked), b"")
            commands.append(packed_rows(["ZADD", keys.top], pairs, 2))
        unranked = ~ranked & (self.tf < 0)
        if unranked.any():
            commands.append(packed_rows(["ZREM", keys.top], self._packed(unranked), 1))
        if not kept.all():
            commands.append(packed_rows(["HDEL", keys.words], self._packed(~kept), 1))
        commands.append(packed("ZREMRANGEBYRANK", keys.top, top_words, -1))
        left = np.stack([old_df, -known.astype(np.int64), -old_tf], axis=1)[known]
        came = np.stack([df, kept.astype(np.int64), tf], axis=1)[kept]
        return commands, DfHistogramDelta.of(np.concatenate([left, came]))

    def _packed(self, mask: NDArray[np.bool_]) -> pa.BinaryArray:
        return self.packed if mask.all() else self.packed.filter(pa.array(mask))
