"""The code of the documentation, as the tests run it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def snippets(page: str, language: str) -> list[tuple[int, str]]:
    """The fenced blocks of a page in one language: the line where each begins, and its text."""
    text = (ROOT / page).read_text()
    blocks = re.finditer(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)
    return [(text.count("\n", 0, block.start(1)) + 1, block[1]) for block in blocks]


def run_snippets(page: str, namespace: dict[str, Any], replaced: Mapping[str, str] | None = None) -> str:
    """Run the Python of a page as one session; errors name its lines.

    Args:
        page: Path of the page.
        namespace: Names that are there before, and all of them afterwards.
        replaced: Texts that are others in this test.

    Returns:
        All the code.
    """
    found = snippets(page, "python")
    assert found
    for line, code in found:
        # The servers of the tests are everybody's: each session has a pipeline of its own.
        pipeline = os.environ["WETSTREAM_PIPELINE"]
        code = code.replace('"main"', f'"{pipeline}"').replace("/main/", f"/{pipeline}/")
        for old, new in (replaced or {}).items():
            code = code.replace(old, new)
        # Blank lines before it give each line the number that it has in the page.
        exec(compile("\n" * (line - 1) + code, str(ROOT / page), "exec"), namespace)
    return "".join(code for _, code in found)
