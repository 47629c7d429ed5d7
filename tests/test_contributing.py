"""CONTRIBUTING.md is true: the folders, files and names that it sends people to are there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text()


def paths() -> list[str]:
    return re.findall(r"`([\w.-]+(?:/[\w.-]*)+)`", TEXT)


def test_files_and_folders_exist() -> None:
    # A name without a top folder, as in "`api/` over HTTP", is below the folder of its row.
    below = [path for path in paths() if not path.startswith(".") and (ROOT / path.partition("/")[0]).exists()]
    assert len(below) > 60
    assert [path for path in below if not (ROOT / path).exists()] == []


def test_names_are_in_their_files() -> None:
    """`file.py` (`NAME` …): the file defines the name."""
    found = re.findall(r"`([\w/]+\.py)`\s+\(([^)]*)\)", TEXT)
    named = [(file, name) for file, text in found for name in re.findall(r"`(\w+)`", text)]
    assert len(named) > 15
    missing = []
    for file, name in named:
        defined = rf"^(?:class |def |)(?:{name})\b"
        if not re.search(defined, (ROOT / file).read_text(), re.M):
            missing.append((file, name))
    assert missing == []


def test_commands_exist() -> None:
    made = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.M))
    named = set(re.findall(r"(?:^|`)make ([a-z0-9-]+)", TEXT, re.M))
    assert named and named - made == set()
