"""Judge a batch of records whose WARC headers are parsed: language, valid words, reason, bag. Deterministic."""

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
    """The outcome for n records."""

    reasons: list[str | None]
    """[n] why the record is rejected; None: kept, or skipped by the caller (negative start)."""
    languages: list[str | None]
    """[n] ISO 639-3 code; None: unknown, or skipped."""
    methods: list[Method | None]
    """[n] how the language was determined."""
    bags: Bags
    """Bags of the n records; empty for rejected ones."""


def judge(
    bagger: Bagger,
    data: NDArray[np.uint8],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    headers: Sequence[str | None],
) -> Judgement:
    """Judge the records whose payloads are `data[starts[i]:ends[i]]`, by the bagger's profile.

    A page in another language is not tokenized at all: its counts are 0.

    Args:
        bagger: The worker's bagger.
        data: uint8, the bytes of all payloads.
        starts: int64 [n]; a negative start skips a record that the caller has judged already.
        ends: int64 [n], exclusive.
        headers: [n] values of `WARC-Identified-Content-Language`; None for records without one.

    Raises:
        ValueError: `headers` and `starts` differ in length, or a span lies outside `data`.
    """
    profile = bagger.profile
    n = len(starts)
    if len(headers) != n:
        raise ValueError(f"{n} payloads but {len(headers)} language headers: give one per payload, or None")
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
