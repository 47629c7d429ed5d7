"""Two WET files as P2.1's data path has them."""

from __future__ import annotations

from pathlib import Path

import pytest

from producers.sample.writer import write_sample

NAMES = [f"crawl-data/CC-MAIN-2016-50/segments/1480698540409.8/wet/{n}.warc.wet.gz" for n in ("b-00001", "a-00002")]


@pytest.fixture(scope="session")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `data`, where slashes of the crawl paths are underscores, and the file `names`."""
    folder = tmp_path_factory.mktemp("crawl")
    (folder / "data").mkdir()
    for number, name in enumerate(NAMES):
        write_sample(folder / "data" / name.replace("/", "_"), records=150, seed=7 + number)
    (folder / "names").write_text("".join(f"{name}\n" for name in NAMES))
    return folder
