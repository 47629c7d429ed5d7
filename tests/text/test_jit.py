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


def test_a_baked_folder_is_used_by_users_who_cannot_write_to_it(tmp_path: Path) -> None:
    """As in an image: another user, another processor. Root may write anywhere, so the answer to that is replaced."""
    compiled = subprocess.run(
        [sys.executable, "-c", f"{PROGRAM}\nfrom streaming.text import jit\nprint(jit.cache_home())"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    home = Path(compiled.stdout.split()[-1])
    cache = tmp_path / "image"
    shutil.copytree(home, cache / home.name)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "WETSTREAM_NUMBA_CACHE": str(cache)}
    cannot_write = "import os\nos.access = lambda path, mode: mode != os.W_OK\n"
    where = f"{cannot_write}from streaming.text.jit import cache_home\nprint(cache_home())"

    def run(program: str) -> str:
        command = [sys.executable, "-c", program]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    assert run(where).strip() == "None"
    run(f"from pathlib import Path\nfrom streaming.text.jit import bake\nbake(Path({str(cache)!r}))")
    assert run(where).strip() == str(cache / home.name)
    before = sorted((path, path.stat().st_mtime_ns) for path in cache.rglob("*"))
    hits, misses, _ = run(cannot_write + PROGRAM).split(maxsplit=2)
    assert (hits, misses) == ("1", "0")
    assert sorted((path, path.stat().st_mtime_ns) for path in cache.rglob("*")) == before
    assert all(path.stat().st_mode & 0o004 for path in cache.rglob("*"))
    # Machine code for another processor is left alone.
    (cache / home.name / "machine.json").write_text('["cpython-311", "0", "another"]')
    assert run(where).strip() == "None"
