"""How many offsets a micro-batch takes: few at first, then as many as fit into the target time.

Spark fixes the limit of a query when it starts (`maxOffsetsPerTrigger`). A limit large enough for full speed keeps the
first numbers of a backlog waiting for a whole micro-batch of that size, and what takes seconds on one cluster takes
minutes on another. So the first micro-batch is small, and the limit follows the measured speed.

It should be no smaller than it must: the common words are in every micro-batch, and each of them costs a visit to Redis
and a row of the driver's sums. 180,000 pages with a large vocabulary took 26 CPU seconds in two micro-batches and 36 in
five.
"""

from __future__ import annotations

FIRST_OFFSETS = 4_000
# Seconds of a micro-batch that do not depend on its size: planning, and commits to the logs; of the first one, also the
# start of the Python workers.
FIXED_S, START_S = 0.4, 1.5
MIN_WORK_S = 0.1
MAX_GROWTH = 25.0
# A micro-batch that takes less than this share of its limit has read all there was.
FULL = 0.8


class Admission:
    """The limit of the next micro-batch.

    Args:
        target_s: Seconds that a micro-batch of a backlog should take; 0 for `max_offsets` always.
        max_offsets: The largest limit.
    """

    def __init__(self, target_s: float, max_offsets: int) -> None:
        self._target_s = target_s
        self._max_offsets = max_offsets
        self._first = True
        self.offsets = min(FIRST_OFFSETS, max_offsets) if target_s else max_offsets

    def completed(self, offsets: int, seconds: float) -> int:
        """Return the limit of the next micro-batch, after one with so many offsets has taken so many seconds."""
        if not self._target_s or offsets <= 0:
            return self.offsets
        work_s = max(MIN_WORK_S, seconds - (START_S if self._first else FIXED_S))
        wanted = offsets * min(MAX_GROWTH, max(MIN_WORK_S, self._target_s - FIXED_S) / work_s)
        self._first = False
        # One that was not full has read all there was: it only shows whether the limit is far too high.
        if offsets >= FULL * self.offsets or seconds > self._target_s:
            # Never below the first limit: where even that takes too long, the time is not that of the records, and a
            # smaller limit would only repeat it more often.
            self.offsets = min(self._max_offsets, max(FIRST_OFFSETS, int(wanted)))
        return self.offsets
