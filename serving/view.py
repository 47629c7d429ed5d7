"""Thresholds on document frequency, applied when reading.

Redis and the documents table hold unpruned counts, so any thresholds are answered exactly and at once. This is the only
place that implements the rule.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serving.answers.shape import Thresholds


@dataclass(frozen=True, slots=True)
class View:
    """Words with min_df <= document frequency < max_df x documents, as in P2.1.

    Attributes:
        min_df: Words in fewer documents are left out.
        max_df: Words in at least this share of the documents are left out; None: no upper bound.
    """

    min_df: int = 1
    max_df: float | None = None

    def mask(self, df: NDArray[np.int64], documents: int) -> NDArray[np.bool_]:
        """Tell which of these document frequencies, [n], are in the view."""
        mask = df >= self.min_df
        return mask if self.max_df is None else mask & (df < self.max_df * documents)

    def span(self, df: NDArray[np.int64], documents: int) -> slice:
        """Return the part of an ascending array of document frequencies that is in the view."""
        # The view is an interval, so in a sorted array its members are adjacent.
        held = np.flatnonzero(self.mask(df, documents))
        return slice(int(held[0]), int(held[-1]) + 1) if len(held) else slice(0, 0)

    @property
    def is_everything(self) -> bool:
        """Whether no word is left out."""
        return self.min_df <= 1 and self.max_df is None

    @property
    def thresholds(self) -> Thresholds:
        """The thresholds as answers show them."""
        return {"min_df": self.min_df, "max_df": self.max_df}


EVERYTHING = View()
