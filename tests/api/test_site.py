"""The pages of the site that are made from the code can be made."""

from __future__ import annotations

import runpy
from pathlib import Path


def test_pages_made_from_the_code() -> None:
    pages = runpy.run_path(str(Path(__file__).parents[2] / "docs" / "site" / "generate.py"))["PAGES"]
    text = {path: make() for path, make in pages.items()}
    assert "/api/v1/stats" in text["reference/http.md"] and "## documents vacuum" in text["reference/commands.md"]
    assert "kafka" in text["reference/settings.md"] and "`df_words`" in text["reference/redis-keys.md"]
    assert "pipeline.run" in text["notebook.md"]
    assert "read_wet" in text["reference/python.md"]
