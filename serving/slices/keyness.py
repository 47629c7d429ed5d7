"""Which words set two corpora apart, and by how much.

Log-likelihood G2 says how sure the difference is (P. Rayson and R. Garside, Comparing Corpora using Frequency
Profiling, 2000), the log ratio how large it is (A. Hardie, Log Ratio: an informal introduction, 2014).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
Values = NDArray[np.float64]


def log_likelihood(a: Counts, b: Counts, total_a: int, total_b: int) -> Values:
    """Return G2 of each word.

    Args:
        a: Its occurrences in the first corpus, [n].
        b: Its occurrences in the second, [n].
        total_a: Tokens of the first corpus.
        total_b: Tokens of the second.

    Returns:
        2 (a ln(a / Ea) + b ln(b / Eb)), [n], where Ea and Eb are the occurrences expected if both corpora used the word
        alike; negative where the second corpus uses it more, relative to its size.
    """
    both, total = a + b, total_a + total_b
    if not total_a or not total_b:
        return np.zeros(len(a))
    g2 = 2 * (_term(a, both, total_a / total) + _term(b, both, total_b / total))
    # What is expected exactly may come out as a tiny negative number.
    return np.where(a * total_b >= b * total_a, 1.0, -1.0) * np.maximum(g2, 0)


def _term(observed: Counts, both: Counts, share: float) -> Values:
    ratio = np.ones(len(observed))
    np.divide(observed, both * share, out=ratio, where=observed > 0)
    return np.asarray(observed * np.log(ratio), np.float64)


def log_ratio(a: Counts, b: Counts, total_a: int, total_b: int) -> Values:
    """Return log2 of the ratio of the relative frequencies, [n]; a word that one side lacks counts there as 0.5."""
    if not total_a or not total_b:
        return np.zeros(len(a))
    result: Values = np.log2(np.where(a > 0, a, 0.5) / total_a) - np.log2(np.where(b > 0, b, 0.5) / total_b)
    return result


def significance(g2: Values) -> Values:
    """Return the probability of a G2 at least as large by chance, [n]: chi-squared with one degree of freedom."""
    return np.fromiter((math.erfc(math.sqrt(abs(value) / 2)) for value in g2), np.float64, len(g2))
