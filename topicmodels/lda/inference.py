"""Inference over many bags: in chunks of a fixed size, so that sums have one order however many threads there are."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from streaming.text.jit import one_compiler
from topicmodels.lda import kernel
from topicmodels.lda.kernel import LANES, SPARE, Bags, Beta, Found, Work

CHUNK_DOCUMENTS: Final = 512
"""Statistics are summed within a chunk, and then over chunks in their order: a change of it changes models."""
PACKAGE: Final = "topicmodels.lda"


@dataclass(frozen=True, slots=True)
class InferenceOptions:
    """When the iterations over one document end: as in gensim and scikit-learn.

    Attributes:
        tolerance: Gamma changes by less, in the mean over the topics.
        iterations: At most so many.
    """

    tolerance: float = 1e-3
    iterations: int = 100


@dataclass(frozen=True, slots=True)
class ChunkResult:
    """What inference found in a chunk.

    Attributes:
        gamma: [D, K].
        bound: The chunk's part of the evidence lower bound.
        places: Rows of exp(E[log beta]) that `statistics` has, ascending.
        statistics: [w, K] sums of counts * phi / exp(E[log beta]); without rows where they were not wanted.
        iterations: Iterations of all its documents.
    """

    gamma: NDArray[np.float64]
    bound: float
    places: NDArray[np.int64]
    statistics: NDArray[np.float32]
    iterations: int


def slice_bags(bags: Bags, first: int, end: int) -> Bags:
    """The bags [first, end), without copying words and counts."""
    low, high = int(bags.starts[first]), int(bags.starts[end])
    return Bags(bags.starts[first : end + 1] - low, bags.words[low:high], bags.counts[low:high])


def join_bags(parts: Sequence[Bags]) -> Bags:
    """All bags of the parts, in order."""
    if len(parts) == 1:
        return parts[0]
    ends = np.cumsum([0, *(int(part.starts[-1]) for part in parts)])
    starts = [part.starts[:-1] + shift for part, shift in zip(parts, ends[:-1], strict=True)]
    return Bags(
        np.concatenate([*starts, ends[-1:]]),
        np.concatenate([part.words for part in parts]),
        np.concatenate([part.counts for part in parts]),
    )


def numbered(bags: Bags, words: int) -> tuple[NDArray[np.int64], Bags]:
    """The words that occur in some bags, ascending, and the bags with these numbered from 0.

    Args:
        bags: With words below `words`.
        words: Size of the vocabulary.
    """
    seen = np.zeros(words, np.bool_)
    seen[bags.words] = True
    rows = np.flatnonzero(seen)
    number = np.zeros(words, np.int32)
    number[rows] = np.arange(len(rows), dtype=np.int32)
    return rows, Bags(bags.starts, number[bags.words], bags.counts)


def expected_beta(weights: NDArray[np.float64], totals: NDArray[np.float64], rows: NDArray[np.int64]) -> Beta:
    """exp(E[log beta]) of the words `rows`.

    Args:
        weights: lambda, [V, K].
        totals: Its sums over the words, [K].
        rows: [W].
    """
    topics = weights.shape[1]
    beta = Beta(np.empty((len(rows), topics), np.float32), np.empty(len(rows)))
    psi = np.empty(topics)
    kernel.digamma(totals, psi)
    kernel.expect(weights, rows, psi, np.empty((2, topics)), beta)
    return beta


_threads = threading.local()


def _work(words: int, topics: int) -> Work:
    """Scratch space of this thread; made anew when a longer bag comes."""
    kept: tuple[int, int, Work] | None = getattr(_threads, "work", None)
    if kept is not None and kept[0] >= words and kept[1] == topics:
        return kept[2]
    words = max(words, 1024) * 3 // 2
    row = words + SPARE
    work = Work(
        np.empty(topics * row, np.float32),
        np.empty(row, np.float32),
        np.empty(row, np.float32),
        np.empty(topics, np.float32),
        np.empty(topics),
        np.empty(topics),
        np.empty(topics, np.uint64),
    )
    _threads.work = (words, topics, work)
    return work


def infer_chunk(bags: Bags, beta: Beta, alpha: float, options: InferenceOptions, *, statistics: bool) -> ChunkResult:
    """Infer the topics of a chunk's documents.

    Args:
        bags: With words that are rows of `beta`.
        beta: exp(E[log beta]).
        alpha: The prior of theta.
        options: When iterations end.
        statistics: Whether the sufficient statistics are wanted.
    """
    documents, topics = len(bags.starts) - 1, beta.values.shape[1]
    places = np.zeros(0, np.int64)
    target = np.zeros(len(beta.values), np.int32)
    if statistics:
        seen = np.zeros(len(beta.values), np.bool_)
        seen[bags.words] = True
        places = np.flatnonzero(seen)
        target[places] = np.arange(len(places), dtype=np.int32)
    found = Found(
        np.empty((documents, topics)), np.empty(documents), target, np.zeros((len(places), topics), np.float32)
    )
    longest = int(np.diff(bags.starts).max(initial=LANES))
    iterations = kernel.infer(bags, beta, alpha, options.tolerance, options.iterations, _work(longest, topics), found)
    return ChunkResult(found.gamma, float(found.bound.sum()), places, found.statistics, int(iterations))


def warm_up() -> None:
    """Compile the kernel, or load what another process has compiled."""
    bags = Bags(np.array([0, 2]), np.array([0, 1], np.int32), np.array([1, 2], np.int32))
    weights = np.array([[1.0, 2.0], [3.0, 0.5]])
    totals = weights.sum(axis=0)
    with one_compiler(PACKAGE):
        beta = expected_beta(weights, totals, np.arange(2))
        found = infer_chunk(bags, beta, 0.1, InferenceOptions(), statistics=True)
        kernel.decay(weights, 0.5, 0.1)
        kernel.add_statistics(weights, np.arange(2), found.places, found.statistics, beta, 1.0)


class LocalInference:
    """Runs chunks on threads of this process; the kernel holds no lock."""

    def __init__(self, threads: int) -> None:
        warm_up()
        self._pool = ThreadPoolExecutor(max(1, threads), "wetstream-topics")

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(cancel_futures=True)

    def run(
        self, bags: Bags, beta: Beta, alpha: float, options: InferenceOptions, *, statistics: bool
    ) -> Iterator[ChunkResult]:
        """Begin to infer some bags; return the results of all chunks, in their order."""
        documents = len(bags.starts) - 1
        running = [
            self._pool.submit(infer_chunk, part, beta, alpha, options, statistics=statistics)
            for part in (
                slice_bags(bags, first, min(first + CHUNK_DOCUMENTS, documents))
                for first in range(0, documents, CHUNK_DOCUMENTS)
            )
        ]
        return (future.result() for future in running)
