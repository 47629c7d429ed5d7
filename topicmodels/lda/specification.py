"""What the compiled kernel computes, in plain NumPy: Algorithm 2 of Hoffman, Blei and Bach (2010), line by line."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Inference(NamedTuple):
    """What inference finds for one bag."""

    gamma: Array  # [K]
    statistics: Array  # [W, K] counts * phi
    bound: float
    iterations: int


def psi(x: Array) -> Array:
    """The digamma function for x > 0, by recurrence to x > 30 and its asymptotic series."""
    x, result = x.astype(np.float64), np.zeros(x.shape)
    for _ in range(30):
        result -= 1 / x
        x = x + 1
    square = 1 / (x * x)
    return result + np.log(x) - 0.5 / x - square * (1 / 12 - square * (1 / 120 - square / 252))


def log_beta(weights: Array) -> Array:
    """E[log beta] of lambda, both [V, K]."""
    return psi(weights) - psi(weights.sum(axis=0))


def infer(expected: Array, counts: Array, alpha: float, tolerance: float = 1e-3, iterations: int = 100) -> Inference:
    """Find gamma of a bag of words.

    Args:
        expected: E[log beta] of its words, [W, K].
        counts: How often each occurs, [W].
        alpha: The prior of theta.
        tolerance: End when gamma changes by less in the mean over all topics.
        iterations: End after so many in any case.
    """
    beta = np.exp(expected - expected.max(axis=1, keepdims=True))
    gamma, theta, number = np.ones(beta.shape[1]), np.ones(beta.shape[1]), 0
    while number < iterations:
        number += 1
        phi = theta * beta
        phi /= phi.sum(axis=1, keepdims=True)
        before, gamma = gamma, alpha + counts @ phi
        theta = np.exp(psi(gamma) - psi(gamma).max())
        if np.abs(gamma - before).mean() < tolerance:
            break
    phi = theta * beta
    phi /= phi.sum(axis=1, keepdims=True)
    log_theta = psi(gamma) - psi(gamma.sum(keepdims=True))
    words = counts @ np.log(np.exp(expected + log_theta).sum(axis=1))
    lgamma = np.vectorize(math.lgamma)
    prior = (alpha - gamma) @ log_theta + (lgamma(gamma) - math.lgamma(alpha)).sum()
    prior += math.lgamma(alpha * len(gamma)) - math.lgamma(gamma.sum())
    return Inference(gamma, counts[:, None] * phi, float(words + prior), number)


def learning_rate(step: int, offset: float, decay: float) -> float:
    """Rho of mini-batch `step`, from 0."""
    return float((offset + step) ** -decay)


def m_step(weights: Array, statistics: Array, rate: float, eta: float, scale: float) -> Array:
    """Lambda after a mini-batch whose statistics are [V, K]; `scale` is documents in all by documents in it."""
    return (1 - rate) * weights + rate * (eta + scale * statistics)
