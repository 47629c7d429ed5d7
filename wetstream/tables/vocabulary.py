"""The vocabulary of a pipeline as a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wetstream.tables.frame import Frame

if TYPE_CHECKING:
    import pyarrow as pa

    from serving.view import View
    from serving.vocabulary_snapshot import VocabularySnapshot


@dataclass(frozen=True)
class Vocabulary(Frame):
    """The words of a pipeline at one instant, under thresholds.

    Attributes:
        snapshot: The counts of all words, with the state that they are of (`as_of`, `settled`).
        view: The thresholds.
    """

    snapshot: VocabularySnapshot
    view: View

    def __len__(self) -> int:
        return int(self.view.mask(self.snapshot.df, self.snapshot.documents).sum())

    @property
    def documents(self) -> int:
        """Number of kept documents, the N of idf = ln(N / df)."""
        return self.snapshot.documents

    def under(self, *, min_df: int = 1, max_df: float | None = None) -> Vocabulary:
        """Return the same words at the same instant under other thresholds; nothing is read again."""
        from serving.view import View

        return Vocabulary(self.snapshot, View(min_df, max_df))

    def to_arrow(self) -> pa.Table:
        """Return it as an Arrow table.

        Returns:
            Columns `word` (string), `tf` (int64, occurrences), `df` (int64, documents) and `idf` (float64,
            ln(documents / df)), by descending `tf`, then `word`.
        """
        return self.snapshot.table(self.view)
