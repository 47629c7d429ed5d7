"""What every worker process does first: leave signals to the main process, never outlive it, and stand back."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import threading
from multiprocessing import forkserver
from multiprocessing.connection import wait
from typing import Any

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def leave_signals_to_parent() -> None:
    """Ignore SIGINT and SIGTERM, which reach the whole process group: the main process decides what they mean."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def lower_priority(niceness: int) -> None:
    """Stand back behind other work of this machine, but no further than a stream does.

    In a backfill of 1.2 GB on two cores, a stream that stood back behind producers showed its first numbers when they
    had ended, after 44 s; at the same priority after 23 s. A stream that goes first takes many small micro-batches: the
    whole backfill took half as long again.
    """
    if hasattr(os, "setpriority"):
        os.setpriority(os.PRIO_PROCESS, 0, max(niceness, os.getpriority(os.PRIO_PROCESS, 0)))


def exit_with_parent() -> None:
    """End this process at once when the main process is gone, whatever it does at that moment.

    Two ways, since each has a gap. A thread waits for the main process itself. The kernel kills this process when the
    fork server ends, which it does when the main process is gone; that also reaches a long call of C code that never
    lets another thread run. Dying at any moment is safe: what is not committed is aborted by the next producer.
    """
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    # The fork server lives as long as anybody holds the other end of this pipe, and every worker inherits it.
    server: Any = vars(forkserver)["_forkserver"]
    if server._forkserver_alive_fd is not None:
        os.close(server._forkserver_alive_fd)
        server._forkserver_alive_fd = None
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, name="wetstream-parent", daemon=True).start()
