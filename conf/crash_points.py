"""Named points at which a test can kill the process, to prove that a crash there loses and doubles nothing.

`WETSTREAM_CRASH_AT=producer-in-transaction:3` ends the process with SIGKILL when that point is passed the third time.
Without the variable a point costs one dictionary look-up in an empty dictionary.
"""

from __future__ import annotations

import os
import signal


def _armed() -> dict[str, int]:
    points = {}
    for point in filter(None, os.environ.get("WETSTREAM_CRASH_AT", "").split(",")):
        name, _, times = point.partition(":")
        points[name] = int(times or 1)
    return points


_POINTS = _armed()


def crash_point(name: str) -> None:
    """Die here if the environment asks for it."""
    if name in _POINTS:
        _POINTS[name] -= 1
        if _POINTS[name] <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
