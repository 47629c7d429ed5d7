"""Variational inference for latent Dirichlet allocation, compiled: the E-step over bags of words, and the M-step.

The equations are those of Hoffman, Blei and Bach (2010), Algorithm 2, with phi left implicit (Lee and Seung 2001).
Three things make it fast, and none changes the result beyond rounding:

- **Scale does not matter.** phi is normalised over the topics, so the row of a word in exp(E[log beta]) and the vector
  exp(E[log theta]) may each be multiplied by anything. Both are scaled to a maximum near 1, which keeps 32 bits from
  underflow, and psi(sum of gamma) never has to be computed in the loop.
- **exp(psi(x)) is not psi and then exp.** With P(x) = x (x + 1) ... (x + 5), psi(x) = psi(x + 6) - P'(x) / P(x), and
  exp(psi(x + 6)) is an asymptotic series in x + 5.5: no logarithm, no branch, and vector instructions throughout.
- **Topics die.** A topic whose exp(E[log theta]) is below 1e-20 of the largest has gamma = alpha but for rounding, and
  the update, which multiplies, cannot bring it back. It is left out of the document's next iterations.

A bag's part of exp(E[log beta]) is copied to [topics, words], so the inner loops run along the words.
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streaming.text.jit import vectorized

U: Any = np.uint64
"""Indices are unsigned: a signed one costs a check for negative values on every access."""
TINY: Final = np.float32(1e-30)
"""Added to the normaliser of phi, so that a word which no topic explains is ignored."""
DEAD: Final = -46.0
"""Topics die at exp(-46) = 1e-20 of the largest."""
LEAST: Final = -64.0
"""Exponents are cut here: exp(-64) is 1.6e-28 of the largest."""
LANES: Final = 16
"""Bags are padded to a multiple of so many words, with words that do not occur."""
SPARE: Final = 2 * LANES
"""How much longer than the longest bag the scratch arrays must be."""


class Bags(NamedTuple):
    """Bags of words, one behind the other."""

    starts: NDArray[np.int64]  # [D + 1] bounds of the bags
    words: NDArray[np.int32]  # rows of exp(E[log beta])
    counts: NDArray[np.int32]


class Beta(NamedTuple):
    """exp(E[log beta]) of some words."""

    values: NDArray[np.float32]  # [W, K] each row scaled to a maximum of 1
    scale: NDArray[np.float64]  # [W] the logarithm of the factor that undoes it


class Work(NamedTuple):
    """Scratch space of one thread, for bags of at most N words and K topics."""

    beta: NDArray[np.float32]  # [K * (N + SPARE)] a bag's part of exp(E[log beta]), topic by topic
    counts: NDArray[np.float32]  # [N + SPARE]
    norm: NDArray[np.float32]  # [N + SPARE] the normaliser of phi; then counts / norm
    theta: NDArray[np.float32]  # [K] exp(E[log theta]) of the living topics
    exponent: NDArray[np.float64]  # [K]
    gamma: NDArray[np.float64]  # [K] of the living topics
    living: NDArray[np.uint64]  # [K] their numbers


class Found(NamedTuple):
    """What inference finds."""

    gamma: NDArray[np.float64]  # [D, K]
    bound: NDArray[np.float64]  # [D] each document's part of the evidence lower bound
    places: NDArray[np.int32]  # [W] row of `statistics` by row of exp(E[log beta])
    statistics: NDArray[np.float32]  # [w, K] sums of counts * phi / exp(E[log beta]); without rows: not wanted


@vectorized
def infer(bags: Bags, beta: Beta, alpha: float, tolerance: float, iterations: int, work: Work, found: Found) -> int:
    """Find gamma of each bag by coordinate ascent, and add to the statistics; return the number of iterations.

    A bag's iterations end when gamma changes by less than `tolerance` in the mean over all topics.
    """
    values, topics = beta.values, U(beta.values.shape[1])
    local, counts, norm, theta, exponent, current, living = work
    wanted = len(found.statistics) > 0
    done = 0
    for document in range(U(len(bags.starts) - 1)):
        first = U(bags.starts[document])
        words = U(bags.starts[document + U(1)]) - first
        stride = (words + U(LANES - 1)) // U(LANES) * U(LANES)
        if stride % U(256) == U(0):
            stride += U(LANES)  # rows that are a power of two apart would share cache sets
        for j in range(words):
            row = U(bags.words[first + j])
            counts[j] = np.float32(bags.counts[first + j])
            for k in range(topics):
                local[k * stride + j] = values[row, k]
        for j in range(words, stride):
            counts[j] = np.float32(0)
            for k in range(topics):
                local[k * stride + j] = np.float32(0)
        for k in range(topics):
            found.gamma[document, k] = alpha
            current[k] = 1.0
            theta[k] = np.float32(1)
            living[k] = k
        alive = topics
        left = 0.0  # how much gamma of topics that have just died still changes
        top = 0.0
        for _ in range(iterations):
            done += 1
            for j in range(stride):
                norm[j] = TINY
            i = U(0)
            while i + U(4) <= alive:
                a, b = living[i] * stride, living[i + U(1)] * stride
                c, d = living[i + U(2)] * stride, living[i + U(3)] * stride
                ta, tb, tc, td = theta[i], theta[i + U(1)], theta[i + U(2)], theta[i + U(3)]
                for j in range(stride):
                    norm[j] += ta * local[a + j] + tb * local[b + j] + tc * local[c + j] + td * local[d + j]
                i += U(4)
            while i < alive:
                a, ta = living[i] * stride, theta[i]
                for j in range(stride):
                    norm[j] += ta * local[a + j]
                i += U(1)
            for j in range(stride):
                norm[j] = counts[j] / norm[j]
            change, left = left, 0.0
            largest = 0.0
            for i in range(alive):
                a = living[i] * stride
                share = np.float32(0)
                for j in range(stride):
                    share += norm[j] * local[a + j]
                fresh = alpha + np.float64(theta[i]) * np.float64(share)
                change += abs(fresh - current[i])
                current[i] = fresh
                largest = max(largest, fresh)
            u = largest * (largest + 5.0)
            top = (2.0 * largest + 5.0) * (3.0 * u * u + 20.0 * u + 24.0) / (u * (u + 4.0) * (u + 6.0))
            for i in range(alive):
                x = current[i]
                u = x * (x + 5.0)
                below = top - (2.0 * x + 5.0) * (3.0 * u * u + 20.0 * u + 24.0) / (u * (u + 4.0) * (u + 6.0))
                exponent[i] = below
                # exp by its series at -64/256 ± 1/4, then squared seven times.
                t = max(below, LEAST) * (1.0 / 128.0) + 0.25
                p = 1.0 + t * (1.0 / 7.0) * (1.0 + t * (1.0 / 8.0))
                p = 1.0 + t * (1.0 / 5.0) * (1.0 + t * (1.0 / 6.0) * p)
                p = 1.0 + t * (1.0 / 3.0) * (1.0 + t * (1.0 / 4.0) * p)
                p = 0.7788007830714049 * (1.0 + t * (1.0 + t * (1.0 / 2.0) * p))
                p *= p
                p *= p
                p *= p
                p *= p
                p *= p
                p *= p
                p *= p
                z = x + 5.5
                r = 1.0 / (z * z)
                r *= 1.0 / 24.0 - r * (37.0 / 5760.0 - r * (10313.0 / 2903040.0 - r * (5509121.0 / 1393459200.0)))
                theta[i] = np.float32(z * (1.0 + r) * p)
            if change < tolerance * topics:
                break
            kept = U(0)
            for i in range(alive):
                if exponent[i] > DEAD:
                    living[kept], current[kept], theta[kept] = living[i], current[i], theta[i]
                    kept += U(1)
                else:
                    left += current[i] - alpha
            alive = kept
        total = alpha * (topics - alive)
        for i in range(alive):
            found.gamma[document, living[i]] = current[i]
            total += current[i]
        for j in range(stride):
            norm[j] = TINY
        for i in range(alive):
            a, ta = living[i] * stride, theta[i]
            for j in range(stride):
                norm[j] += ta * local[a + j]
        psi_total = _psi(total)
        value = math.lgamma(topics * alpha) - math.lgamma(total)
        for i in range(alive):
            x = current[i]
            value += (alpha - x) * (_psi(x) - psi_total) + math.lgamma(x) - math.lgamma(alpha)
        for j in range(words):
            value += counts[j] * (math.log(norm[j]) + beta.scale[bags.words[first + j]] - top - psi_total)
        found.bound[document] = value
        if wanted:
            for j in range(words):
                place, weight = found.places[bags.words[first + j]], counts[j] / norm[j]
                for i in range(alive):
                    found.statistics[place, living[i]] += weight * theta[i]
    return done


@vectorized
def _psi(x: float) -> float:
    """The digamma function for x > 0."""
    u, z = x * (x + 5.0), x + 5.5
    r = 1.0 / (z * z)
    r *= 1.0 / 24.0 - r * (37.0 / 5760.0 - r * (10313.0 / 2903040.0 - r * (5509121.0 / 1393459200.0)))
    below = (2.0 * x + 5.0) * (3.0 * u * u + 20.0 * u + 24.0) / (u * (u + 4.0) * (u + 6.0))
    return math.log(z * (1.0 + r)) - below


@vectorized
def digamma(values: NDArray[np.float64], result: NDArray[np.float64]) -> None:
    """Psi of each value."""
    for i in range(len(values)):
        result[i] = _psi(values[i])


@vectorized
def expect(
    weights: NDArray[np.float64],  # [V, K] lambda
    rows: NDArray[np.int64],  # [W] the words wanted
    psi: NDArray[np.float64],  # [K] of the sums of lambda over the words
    scratch: NDArray[np.float64],  # [2, K]
    beta: Beta,  # out
) -> None:
    """exp(E[log beta]) of some words."""
    topics = U(weights.shape[1])
    exponent, series = scratch[0], scratch[1]
    for w in range(U(len(rows))):
        row = U(rows[w])
        top = -np.inf
        for k in range(topics):
            x = weights[row, k]
            u = x * (x + 5.0)
            below = psi[k] + (2.0 * x + 5.0) * (3.0 * u * u + 20.0 * u + 24.0) / (u * (u + 4.0) * (u + 6.0))
            z = x + 5.5
            r = 1.0 / (z * z)
            r *= 1.0 / 24.0 - r * (37.0 / 5760.0 - r * (10313.0 / 2903040.0 - r * (5509121.0 / 1393459200.0)))
            exponent[k] = -below
            series[k] = z * (1.0 + r)
        for k in range(topics):
            top = max(top, exponent[k])
        for k in range(topics):
            t = max(exponent[k] - top, LEAST) * (1.0 / 128.0) + 0.25
            p = 1.0 + t * (1.0 / 7.0) * (1.0 + t * (1.0 / 8.0))
            p = 1.0 + t * (1.0 / 5.0) * (1.0 + t * (1.0 / 6.0) * p)
            p = 1.0 + t * (1.0 / 3.0) * (1.0 + t * (1.0 / 4.0) * p)
            p = 0.7788007830714049 * (1.0 + t * (1.0 + t * (1.0 / 2.0) * p))
            p *= p
            p *= p
            p *= p
            p *= p
            p *= p
            p *= p
            p *= p
            series[k] *= p
        most = 0.0
        for k in range(topics):
            most = max(most, series[k])
        for k in range(topics):
            beta.values[w, k] = np.float32(series[k] / most)
        beta.scale[w] = math.log(most) + top


@vectorized
def decay(weights: NDArray[np.float64], keep: float, add: float) -> None:
    """Weights = weights * keep + add."""
    words, topics = weights.shape
    for w in range(U(words)):
        for k in range(U(topics)):
            weights[w, k] = weights[w, k] * keep + add


@vectorized
def add_statistics(
    weights: NDArray[np.float64],
    rows: NDArray[np.int64],  # [w] the words of `statistics`
    beta_rows: NDArray[np.int64],  # [w] their rows of exp(E[log beta])
    statistics: NDArray[np.float32],
    beta: Beta,
    factor: float,
) -> None:
    """Add factor * statistics * exp(E[log beta]) to the weights of some words."""
    topics = U(weights.shape[1])
    for w in range(U(len(rows))):
        row, place = U(rows[w]), U(beta_rows[w])
        for k in range(topics):
            weights[row, k] += factor * np.float64(statistics[w, k]) * np.float64(beta.values[place, k])
