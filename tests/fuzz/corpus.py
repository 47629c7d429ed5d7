"""Seeds of files that once failed, kept for good."""

from __future__ import annotations

from pathlib import Path


def seeds() -> list[int]:
    """The seeds in corpus.txt: one on a line, with what failed behind it."""
    lines = Path(__file__).with_name("corpus.txt").read_text("utf-8").splitlines()
    return [int(line.split()[0]) for line in lines if line and not line.startswith("#")]
