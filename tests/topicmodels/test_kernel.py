"""The compiled kernel against its plain specification, scipy, scikit-learn and gensim."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import psi
from sklearn.decomposition import LatentDirichletAllocation

from tests.examples import examples
from tests.topicmodels.corpora import generate, matched_cosine
from topicmodels.lda import kernel, specification
from topicmodels.lda.inference import (
    InferenceOptions,
    LocalInference,
    expected_beta,
    infer_chunk,
    join_bags,
    slice_bags,
)
from topicmodels.lda.kernel import Bags
from topicmodels.lda.online import LearningRate, OnlineLda, Priors


def test_digamma_is_that_of_scipy() -> None:
    values = np.concatenate([np.geomspace(1e-6, 1e9, 2000), np.linspace(0.01, 20, 2000)])
    found = np.empty(len(values))
    kernel.digamma(values, found)
    np.testing.assert_allclose(found, psi(values), rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(specification.psi(values), psi(values), rtol=1e-10, atol=1e-10)


@st.composite
def problems(draw: st.DrawFn) -> tuple[np.ndarray, Bags, float]:
    """Weights [V, K], some bags and a prior; also words and topics that hardly occur, and empty bags."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    words, topics = draw(st.integers(2, 40)), draw(st.integers(2, 40))
    weights = rng.gamma(draw(st.sampled_from([0.05, 1.0, 100.0])), 1.0, (words, topics)) + draw(
        st.sampled_from([0.01, 0.2])
    )
    sizes = draw(st.lists(st.integers(0, words), min_size=1, max_size=5))
    chosen = [rng.permutation(words)[:size] for size in sizes]
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    counts = rng.integers(1, draw(st.sampled_from([2, 50, 3000])), starts[-1])
    return (
        weights,
        Bags(starts, np.concatenate(chosen).astype(np.int32), counts.astype(np.int32)),
        draw(st.sampled_from([0.01, 0.1, 1.0])),
    )


@given(problems())
@examples(60)
def test_inference_is_what_the_specification_says(problem: tuple[np.ndarray, Bags, float]) -> None:
    weights, bags, alpha = problem
    words, topics = weights.shape
    # A topic that is about to vanish weighs exp(digamma(gamma)), which falls by powers of ten for thousandths of a
    # small gamma: rounding decides how far it has come.
    vanishing = min(alpha, 0.02)
    # Iterations of a fixed number: near the tolerance, rounding may decide on one more or less.
    options = InferenceOptions(0.0, 12)
    beta = expected_beta(weights, weights.sum(axis=0), np.arange(words))
    expected = specification.log_beta(weights)
    seen = beta.values > 1e-22
    mine = np.log(np.where(seen, beta.values, 1)) + beta.scale[:, None]
    np.testing.assert_allclose(mine[seen], expected[seen], rtol=1e-6, atol=1e-6)
    found = infer_chunk(bags, beta, alpha, options, statistics=True)
    statistics = np.zeros((words, topics))
    bound = 0.0
    for number, (low, high) in enumerate(pairwise(bags.starts)):
        rows = bags.words[low:high]
        plain = specification.infer(expected[rows], bags.counts[low:high].astype(float), alpha, 0.0, 12)
        length = bags.counts[low:high].sum()
        np.testing.assert_allclose(found.gamma[number], plain.gamma, rtol=1e-3, atol=1e-4 * (1 + length) + vanishing)
        statistics[rows] += plain.statistics
        bound += plain.bound
    assert found.bound == pytest.approx(bound, rel=1e-3, abs=1e-2)
    mine = np.zeros((words, topics))
    mine[found.places] = found.statistics * beta.values[found.places]
    np.testing.assert_allclose(mine, statistics, rtol=1e-3, atol=1e-4 * (1 + bags.counts.sum()) + vanishing)


def test_a_mini_batch_is_that_of_scikit_learn() -> None:
    corpus = generate(300, 8, 200, seed=3)
    lda = OnlineLda.start(200, 8, Priors(1 / 8, 1 / 8), seed=5)
    other = LatentDirichletAllocation(8, learning_method="online", learning_offset=10.0, total_samples=300)
    matrix = corpus.matrix()
    other._init_latent_vars(200, dtype=np.float64)
    other.components_ = lda.weights.T.copy()
    other.exp_dirichlet_component_ = np.exp(specification.log_beta(lda.weights)).T
    other.n_batch_iter_ = 0  # it counts from 1; Hoffman's t counts from 0
    lda.inference = InferenceOptions(0.0, 200)
    other.mean_change_tol, other.max_doc_update_iter = 0.0, 200
    # scikit-learn begins with random gamma in training, and with ones where there is no random state.
    _, statistics = other._e_step(matrix, cal_sstats=True, random_init=False)
    expected = specification.m_step(lda.weights, statistics.T, lda.rate.at(0), 1 / 8, 1.0)
    workers = LocalInference(2)
    lda.learn(corpus.bags, 300, workers)
    workers.close()
    np.testing.assert_allclose(lda.weights, expected, rtol=2e-3, atol=2e-3)


def test_known_topics_are_found() -> None:
    corpus = generate(2000, 10, 500, seed=1)
    # One of the seeds that lead to the global optimum; others, as those of scikit-learn, merge some topics.
    lda = OnlineLda.start(500, 10, Priors(0.1, 0.05), seed=1, rate=LearningRate(10.0, 0.7))
    workers = LocalInference(2)
    for _ in range(8):
        for first in range(0, 2000, 100):
            lda.learn(slice_bags(corpus.bags, first, first + 100), 2000, workers)
    workers.close()
    found = lda.weights / lda.weights.sum(axis=0)
    assert matched_cosine(found, corpus.topics).min() >= 0.9


def test_the_number_of_threads_changes_no_bit() -> None:
    corpus = generate(1500, 12, 400, seed=4)
    found = []
    for threads in (1, 2, 5):
        lda = OnlineLda.start(400, 12, Priors(0.1, 0.1), seed=2)
        workers = LocalInference(threads)
        for first in (0, 700):
            lda.learn(slice_bags(corpus.bags, first, min(1500, first + 700)), 1500, workers)
        workers.close()
        found.append(lda.weights.tobytes())
    assert found[0] == found[1] == found[2]


def test_bags_that_were_cut_are_joined_again() -> None:
    corpus = generate(20, 3, 30)
    parts = [slice_bags(corpus.bags, 0, 7), slice_bags(corpus.bags, 7, 7), slice_bags(corpus.bags, 7, 20)]
    for whole, joined in zip(corpus.bags, join_bags(parts), strict=True):
        np.testing.assert_array_equal(whole, joined)
