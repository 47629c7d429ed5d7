"""Notices records of a source that do not follow the one before them in the topic: doubled ones, or behind a gap.

A task sees a part of each source, so this finds most faults at once and not all of them; `wetstream verify` finds all.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from streaming.tasks.messages import Messages


class JoinCheck:
    """Counts, by source, the records that do not begin where the one before them ends."""

    def __init__(self) -> None:
        self.unjoined: Counter[str] = Counter()
        self._ends: dict[str, tuple[int, int]] = {}

    def add(self, messages: Messages) -> None:
        """Check n messages that follow those of the last call."""
        sources = messages.source.dictionary_encode()
        codes = sources.indices.to_numpy(zero_copy_only=False)
        order = np.argsort(codes, kind="stable")
        places = np.stack([messages.record_offset.to_numpy(), messages.inner_offset.to_numpy()], axis=1)[order]
        ends = np.stack([messages.next_offset.to_numpy(), messages.next_inner.to_numpy()], axis=1)[order]
        codes = codes[order]
        first = np.flatnonzero(np.concatenate([[True], codes[1:] != codes[:-1]]))
        before = np.concatenate([ends[:1], ends[:-1]])
        names = sources.dictionary.to_pylist()
        for at in first:
            before[at] = self._ends.get(names[codes[at]], tuple(places[at]))
        # A source that was removed begins again; foreign messages have no place.
        wrong = (places != before).any(axis=1) & places.any(axis=1) & (places[:, 0] >= 0)
        for code, n in zip(*np.unique(codes[wrong], return_counts=True), strict=True):
            self.unjoined[names[code]] += int(n)
        for at in np.append(first[1:], len(codes)) - 1:
            self._ends[names[codes[at]]] = (int(ends[at, 0]), int(ends[at, 1]))
