"""Compiled once, wherever the package lives, also by several processes at the same time."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import time, numpy as np
from conf.profiles import load_profile
from streaming.text.kernel import Bagger
import streaming.text.ascii_kernel as kernel
page = np.frombuffer(b"some words " * 6, np.uint8)
bags = Bagger(load_profile("p21")).bag(page, np.array([0]), np.array([66]))
assert bags.counts.tolist() == [6], bags
stats = kernel.bag_ascii.stats
print(sum(stats.cache_hits.values()), sum(stats.cache_misses.values()), kernel.__file__)
"""


def start(path: Path, cache: str, **more: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(path), "WETSTREAM_NUMBA_CACHE": cache, **more}
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        cwd="/",
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def result(process: subprocess.Popen[str]) -> tuple[int, int, str]:
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    hits, misses, file = out.split(maxsplit=2)
    return int(hits), int(misses), file.strip()


@pytest.fixture
def package(tmp_path: Path) -> Path:
    path = tmp_path / "package.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for folder in ("conf", "streaming"):
            for file in (ROOT / folder).rglob("*"):
                if file.is_file() and "__pycache__" not in file.parts:
                    archive.write(file, file.relative_to(ROOT))
    return path


@pytest.mark.slow
def test_zip_and_processes_at_once(package: Path, tmp_path: Path) -> None:
    cache = str(tmp_path / "cache")
    found = [result(process) for process in [start(package, cache) for _ in range(3)]]
    assert all(str(package) in file for _, _, file in found)
    assert sorted((hits, misses) for hits, misses, _ in found) == [(0, 1), (1, 0), (1, 0)]
    moved = tmp_path / "moved.zip"
    shutil.copy(package, moved)
    assert result(start(moved, cache))[:2] == (1, 0)


def test_other_sources_are_compiled_anew(package: Path, tmp_path: Path) -> None:
    """Also if only a module changes that is compiled into the kernel."""
    cache = tmp_path / "cache"
    folder = tmp_path / "unpacked"
    shutil.unpack_archive(package, folder)
    blocks = folder / "streaming" / "text" / "blocks.py"
    source = blocks.read_text()
    for name in ("one", "two"):
        blocks.write_text(f"{source}# {name}\n")
        subprocess.run(
            [sys.executable, "-c", "from streaming.text.jit import cache_home; print(cache_home())"],
            env={**os.environ, "PYTHONPATH": str(folder), "WETSTREAM_NUMBA_CACHE": str(cache)},
            check=True,
            cwd="/",
        )
    assert len(list(cache.glob("kernel-*"))) == 2


def test_a_folder_that_others_can_write_to_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from streaming.text import jit

    monkeypatch.setenv("WETSTREAM_NUMBA_CACHE", str(tmp_path))
    home = jit.cache_home.__wrapped__()
    assert home is not None
    assert home.parent == tmp_path
    home.chmod(0o777)
    assert jit.cache_home.__wrapped__() is None
    monkeypatch.setenv("WETSTREAM_NUMBA_CACHE", "/proc/none")
    assert jit.cache_home.__wrapped__() is None
