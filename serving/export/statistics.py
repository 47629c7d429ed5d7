"""The file `statistics` of P2.1."""

from __future__ import annotations

from collections.abc import Mapping

from serving.lengths import PERCENTILES, length_summary


def statistics_lines(words: int, lengths: Mapping[int, int]) -> list[str]:
    """Return the 12 lines of `statistics`; without documents, everything is 0.

    Args:
        words: Size of the vocabulary.
        lengths: Documents by length in tokens. Percentile p is `sorted[int(p * n)]`, the average is truncated.
    """
    documents = sum(lengths.values())
    tokens = sum(length * n for length, n in lengths.items())
    length = {name: value or 0 for name, value in length_summary(lengths).items()}
    return [
        f"Number of Words: {words}",
        f"Number of Documents: {documents}",
        f"Number of Tokens: {tokens}",
        f"Maximum Document Length: {length['max']}",
        f"Minimum Document Length: {length['min']}",
        f"Average Document Length: {tokens // documents if documents else 0}",
        *(f"Document Length {p}th percentile: {length[f'p{p}']}" for p in PERCENTILES),
    ]
