"""Online variational Bayes: the weights of the topics, moved by each mini-batch in ever smaller steps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from topicmodels.lda import kernel
from topicmodels.lda.inference import InferenceOptions, LocalInference, expected_beta, numbered
from topicmodels.lda.kernel import Bags


@dataclass(frozen=True, slots=True)
class Priors:
    """Symmetric Dirichlet priors: `alpha` of a document's topics, `eta` of a topic's words."""

    alpha: float
    eta: float


@dataclass(frozen=True, slots=True)
class LearningRate:
    """rho of mini-batch t, from 0: (offset + t) ** -decay. It converges for a decay in (0.5, 1]."""

    offset: float = 10.0
    decay: float = 0.7

    def at(self, step: int) -> float:
        """Rho of a mini-batch."""
        return float((self.offset + step) ** -self.decay)


@dataclass(frozen=True, slots=True)
class StepResult:
    """What a mini-batch was: its documents, tokens, iterations, and the documents' part of the bound."""

    documents: int
    tokens: int
    iterations: int
    bound: float


@dataclass
class OnlineLda:
    """The state of training, a pure function of the seed and the mini-batches so far.

    Attributes:
        weights: lambda, [V, K], float64.
        priors: Of topics and words.
        rate: The learning rate.
        inference: When the iterations over a document end.
        step: Mini-batches so far.
    """

    weights: NDArray[np.float64]
    priors: Priors
    rate: LearningRate = field(default_factory=LearningRate)
    inference: InferenceOptions = field(default_factory=InferenceOptions)
    step: int = 0

    @classmethod
    def start(cls, words: int, topics: int, priors: Priors, seed: int, rate: LearningRate | None = None) -> Self:
        """Begin with random weights, Gamma(100, 1/100) as Hoffman's implementation has them."""
        weights = np.random.Generator(np.random.PCG64(seed)).gamma(100.0, 0.01, (words, topics))
        return cls(weights, priors, rate or LearningRate())

    @property
    def topics(self) -> int:
        """Number of topics."""
        return int(self.weights.shape[1])

    def grow(self, words: int) -> None:
        """Add words at the end, with the prior's weight in every topic.

        Their first documents decide, by their other words, which topics they enter.
        """
        self.weights = np.concatenate([self.weights, np.full((words, self.topics), self.priors.eta)])

    def learn(self, bags: Bags, corpus_documents: int, workers: LocalInference) -> StepResult:
        """Move the weights by one mini-batch.

        Args:
            bags: The mini-batch.
            corpus_documents: Documents that it stands for.
            workers: Who infers its chunks. The result does not depend on their number.
        """
        documents = len(bags.starts) - 1
        rho = self.rate.at(self.step)
        rows, local = numbered(bags, len(self.weights))
        beta = expected_beta(self.weights, self.weights.sum(axis=0), rows)
        chunks = workers.run(local, beta, self.priors.alpha, self.inference, statistics=True)
        kernel.decay(self.weights, 1 - rho, rho * self.priors.eta)
        bound, iterations = 0.0, 0
        factor = rho * corpus_documents / documents
        for chunk in chunks:
            kernel.add_statistics(self.weights, rows[chunk.places], chunk.places, chunk.statistics, beta, factor)
            bound += chunk.bound
            iterations += chunk.iterations
        self.step += 1
        return StepResult(documents, int(bags.counts.sum()), iterations, bound)
