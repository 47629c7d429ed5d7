"""How many offsets a micro-batch takes: few at first, then as many as fit into the target time.

Spark fixes the limit of a query when it starts (`maxOffsetsPerTrigger`). A limit large enough for full speed keeps the
first numbers of a backlog waiting for a whole micro-batch of that size, and what takes seconds on one cluster takes
minutes on another. So the first micro-batch is small, and the limit follows the measured speed.
"""

from __future__ import annotations

FIRST_OFFSETS = 4_000
# The first micro-batch also starts Python workers, so its speed says little; how much larger the next one is.
FIRST_GROWTH = 8
# Seconds of a micro-batch that do not depend on its size: planning, and commits to the logs.
FIXED_S = 0.4
MIN_WORK_S = 0.1
MAX_GROWTH = 10.0
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
        if self._first and seconds < self._target_s:
            wanted = float(self.offsets * FIRST_GROWTH)
        else:
            work_s, target_work_s = (max(MIN_WORK_S, s - FIXED_S) for s in (seconds, self._target_s))
            wanted = offsets * min(MAX_GROWTH, target_work_s / work_s)
        self._first = False
        # One that was not full has read all there was: it only shows whether the limit is far too high.
        if offsets >= FULL * self.offsets or seconds > self._target_s:
            # Never below the first limit: where even that takes too long, the time is not that of the records, and a
            # smaller limit would only repeat it more often.
            self.offsets = min(self._max_offsets, max(FIRST_OFFSETS, int(wanted)))
        return self.offsets
