"""Imported by the process that worker processes are forked from, and by nothing else.

SIGTERM to the process group reaches that process too. If it ended, the workers would lose their parent in the middle
of a transaction; like SIGINT, which multiprocessing ignores there, the signal is for the main process to act on.
"""

from __future__ import annotations

import signal

signal.signal(signal.SIGTERM, signal.SIG_IGN)
