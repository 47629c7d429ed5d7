"""What the tests of the servers share."""

from pathlib import Path

import psutil


def quiet(_line: str) -> None:
    """Where a test does not look at the log."""


def end_everything_below(folder: Path) -> None:
    """End by pid what works in this folder; records may be missing, since tests remove them."""
    for process in psutil.process_iter(["cmdline"]):
        if any(str(folder) in part for part in process.info["cmdline"] or []):
            process.kill()
            process.wait(10)
