"""One batch of records, after their WARC headers are read: language, valid words, reason, bag. Deterministic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from conf.reasons import NOT_LANGUAGE, TOO_FEW_WORDS
from streaming.text.kernel import Bagger, Bags
from streaming.text.language import Method, language_of


@dataclass(frozen=True)
class Judgement:
    """How n records were judged."""

    reasons: list[str | None]
    """[n] why the record is not kept; None: kept, or skipped by the caller (start below 0)."""
    languages: list[str | None]
    """[n] ISO 639-3 code; None: unknown, or skipped."""
    methods: list[Method | None]
    """[n] how the language was found."""
    bags: Bags
    """Of the n records; empty for those that are not kept."""


def judge(
    bagger: Bagger,
    data: NDArray[np.uint8],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    headers: Sequence[str | None],
) -> Judgement:
    """Judge the records whose payloads are `data[starts[i]:ends[i]]`, by the bagger's profile.

    `headers`: [n] values of `WARC-Identified-Content-Language`, None without one. A record with a start below 0 was
    judged by the caller: it is skipped. A page in another language is not cut into words at all: its counts are 0.
    """
    profile = bagger.profile
    n = len(starts)
    if len(headers) != n:
        raise ValueError(f"{n} payloads, but {len(headers)} language headers: there must be one for each, or None")
    reasons: list[str | None] = [None] * n
    languages: list[str | None] = [None] * n
    methods: list[Method | None] = [None] * n
    starts = np.array(starts, np.int64)
    detects = "detect" in profile.language_methods
    for i in range(n):
        start = int(starts[i])
        if start < 0:
            continue
        payload = data[start : int(ends[i])].tobytes() if detects else b""
        languages[i], methods[i] = language_of(headers[i], payload, profile)
        if profile.language is not None and languages[i] != profile.language:
            reasons[i] = NOT_LANGUAGE
            starts[i] = -1
    bags = bagger.bag(data, starts, ends)
    for i in np.flatnonzero((starts >= 0) & ~bags.kept).tolist():
        reasons[i] = TOO_FEW_WORDS
    return Judgement(reasons, languages, methods, bags)
