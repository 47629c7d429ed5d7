"""Named points at which tests kill the process, to prove that a crash there neither loses nor duplicates anything.

`WETSTREAM_CRASH_AT=after-delta-commit:3` ends the process with SIGKILL when that point is passed the third time; with
`WETSTREAM_CRASH_ONCE=FILE` only if FILE is not there yet, and it is made first (a worker that is started again then
lives); with `WETSTREAM_CRASH_SIGNAL=STOP` it is stalled instead. Without the variable a point costs one look-up in an
empty dictionary.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path


def _armed() -> dict[str, int]:
    points = {}
    for point in filter(None, os.environ.get("WETSTREAM_CRASH_AT", "").split(",")):
        name, _, times = point.partition(":")
        points[name] = int(times or 1)
    return points


_POINTS = _armed()


def crash_point(name: str) -> None:
    """Kill or stop the process here if the environment says so."""
    if name not in _POINTS:
        return
    _POINTS[name] -= 1
    if _POINTS[name] > 0:
        return
    flag = os.environ.get("WETSTREAM_CRASH_ONCE")
    if flag:
        try:
            Path(flag).touch(exist_ok=False)
        except FileExistsError:
            return
    del _POINTS[name]
    os.kill(os.getpid(), signal.Signals[f"SIG{os.environ.get('WETSTREAM_CRASH_SIGNAL', 'KILL')}"])
