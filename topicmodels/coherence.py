"""Coherence of topics: normalised pointwise mutual information of their top words over documents (Bouma 2009)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import combinations
from typing import Final

import numpy as np
from numpy.typing import NDArray

from topicmodels.lda.kernel import Bags

EPSILON: Final = 1e-12
DOCUMENTS_AT_ONCE: Final = 1024


@dataclass
class CoOccurrence:
    """In how many documents words occur, alone and in pairs.

    Attributes:
        words: Ids of the words, [n].
        together: [n, n] documents that hold both; the diagonal: documents that hold the word.
        documents: Documents seen.
    """

    words: NDArray[np.int64]
    together: NDArray[np.float64] = field(init=False)
    documents: int = 0

    def __post_init__(self) -> None:
        self.together = np.zeros((len(self.words), len(self.words)))

    def add(self, bags: Bags, vocabulary_size: int) -> None:
        """Count the documents of some bags."""
        number = np.full(vocabulary_size, -1, np.int64)
        number[self.words] = np.arange(len(self.words))
        document = np.repeat(np.arange(len(bags.starts) - 1), np.diff(bags.starts))
        place = number[bags.words]
        document, place = document[place >= 0], place[place >= 0]
        for first in range(0, len(bags.starts) - 1, DOCUMENTS_AT_ONCE):
            low, high = np.searchsorted(document, [first, first + DOCUMENTS_AT_ONCE])
            held = np.zeros((DOCUMENTS_AT_ONCE, len(self.words)), np.float32)
            held[document[low:high] - first, place[low:high]] = 1
            self.together += held.T @ held  # whole numbers: exact in any order
        self.documents += len(bags.starts) - 1

    def npmi(self, words: NDArray[np.int64]) -> float:
        """Mean NPMI of all pairs of some of the words; pairs that never occur together count about -1."""
        number = {int(word): place for place, word in enumerate(self.words)}
        places = [number[int(word)] for word in words]
        alone = self.together.diagonal() / max(self.documents, 1)
        values = []
        for a, b in combinations(places, 2):
            both = self.together[a, b] / max(self.documents, 1) + EPSILON
            values.append(math.log(both / (alone[a] * alone[b])) / -math.log(both) if alone[a] and alone[b] else 0.0)
        return float(np.mean(values)) if values else 0.0
