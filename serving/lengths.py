"""Lengths of documents in tokens: exact percentiles and a histogram, from {length: documents}."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PERCENTILES = (10, 30, 50, 70, 90, 99)
# Bounds of the histogram's bins: 1, 2, 5, 10, 20, 50, … would be too coarse to see a shape; ten a decade are not.
BINS_PER_DECADE = 10


def length_summary(lengths: Mapping[int, int]) -> dict[str, Any]:
    """min, max, mean and percentiles of {length: documents}; None for each when there are none.

    Percentile p is `sorted[int(p / 100 * n)]`.
    """
    total = sum(lengths.values())
    if not total:
        return dict.fromkeys(("min", "max", "mean", *(f"p{p}" for p in PERCENTILES)))
    ordered = sorted(lengths)
    summary: dict[str, Any] = {
        "min": ordered[0],
        "max": ordered[-1],
        "mean": round(sum(length * n for length, n in lengths.items()) / total, 2),
    }
    wanted = {f"p{p}": int(p / 100 * total) for p in PERCENTILES}
    below = 0
    for length in ordered:
        below += lengths[length]
        for name, rank in wanted.items():
            if name not in summary and rank < below:
                summary[name] = length
    return summary


def histogram(lengths: Mapping[int, int]) -> list[dict[str, int]]:
    """Bins {from, to, documents} with `from` <= length < `to`, evenly wide on a logarithmic scale, none left out
    between the first and the last that hold documents. Length 0 has a bin of its own.
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
    held = [number for number, n in enumerate(counts) if n]
    return [
        {"from": bounds[number], "to": bounds[number + 1], "documents": counts[number]}
        for number in range(held[0], held[-1] + 1)
    ]


def _bounds(longest: int) -> list[int]:
    bounds, step = [0, 1], 0
    while bounds[-1] <= longest:
        step += 1
        bound = round(10 ** (step / BINS_PER_DECADE))
        if bound > bounds[-1]:
            bounds.append(bound)
    return bounds
