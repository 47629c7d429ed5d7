"""Document lengths in tokens: exact percentiles and a histogram."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from serving.answers.totals import Bin, Lengths

PERCENTILES = (10, 30, 50, 70, 90, 99)
BINS_PER_DECADE = 10


def length_summary(lengths: Mapping[int, int]) -> Lengths:
    """Return minimum, maximum, mean and percentiles of the lengths; None for each if there are no documents.

    Args:
        lengths: Documents by length in tokens.

    Returns:
        Percentile p is `sorted[int(p / 100 * documents)]`, as in P2.1; the mean is rounded to two digits.
    """
    total = sum(lengths.values())
    if not total:
        return cast("Lengths", dict.fromkeys(("min", "max", "mean", *(f"p{p}" for p in PERCENTILES))))
    ordered = sorted(lengths)
    summary: dict[str, float] = {
        "min": ordered[0],
        "max": ordered[-1],
        "mean": round(sum(length * n for length, n in lengths.items()) / total, 2),
    }
    ranks = {f"p{p}": int(p / 100 * total) for p in PERCENTILES}
    seen = 0
    for length in ordered:
        seen += lengths[length]
        for name, rank in ranks.items():
            if name not in summary and rank < seen:
                summary[name] = length
    return cast("Lengths", summary)


def histogram(lengths: Mapping[int, int]) -> list[Bin]:
    """Return a histogram with bins of equal width on a logarithmic scale.

    Args:
        lengths: Documents by length in tokens.

    Returns:
        Bins that hold documents with `from` <= length < `to`, adjacent, from the first to the last that is not empty.
        Length 0 has a bin of its own.
    """
    if not lengths:
        return []
    bounds = _bounds(max(lengths))
    counts = [0] * (len(bounds) - 1)
    position = 0
    for length in sorted(lengths):
        while length >= bounds[position + 1]:
            position += 1
        counts[position] += lengths[length]
    filled = [number for number, n in enumerate(counts) if n]
    return [
        {"from": bounds[number], "to": bounds[number + 1], "documents": counts[number]}
        for number in range(filled[0], filled[-1] + 1)
    ]


def _bounds(longest: int) -> list[int]:
    bounds, step = [0, 1], 0
    while bounds[-1] <= longest:
        step += 1
        bound = round(10 ** (step / BINS_PER_DECADE))
        if bound > bounds[-1]:
            bounds.append(bound)
    return bounds
