"""A view: which words count, decided when reading. What is stored is unpruned, so any view is answered exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class View:
    """Words with `min_df` <= document frequency < `max_df` x documents (as in P2.1); None: no upper bound."""

    min_df: int = 1
    max_df: float | None = None

    def holds(self, df: int, documents: int) -> bool:
        """Whether a word with this document frequency is in the view."""
        return df >= self.min_df and (self.max_df is None or df < self.max_df * documents)

    def mask(self, df: NDArray[np.int64], documents: int) -> NDArray[np.bool_]:
        """The same for many words."""
        mask = df >= self.min_df
        return mask if self.max_df is None else mask & (df < self.max_df * documents)

    @property
    def is_everything(self) -> bool:
        """Whether no word is left out."""
        return self.min_df <= 1 and self.max_df is None

    def to_json(self) -> dict[str, float | None]:
        """As answers show it."""
        return {"min_df": self.min_df, "max_df": self.max_df}


EVERYTHING = View()
