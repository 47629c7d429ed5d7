"""The wheel holds all that a checkout does, and the archive for executors all that the wheel requires."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from wetstream.cluster.archive import PACKAGES, archive_name, required_distributions, write_archive

ROOT = Path(__file__).resolve().parents[2]


def files_of(folder: Path) -> set[str]:
    return {
        str(file.relative_to(folder))
        for package in PACKAGES
        for file in (folder / package).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }


def build_wheel(folder: Path) -> Path:
    source = folder / "source"
    for package in PACKAGES:
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(folder),
        ".",
    ]
    subprocess.run(command, cwd=source, check=True, timeout=200)
    (wheel,) = folder.glob("wetstream-*.whl")
    return wheel


def test_a_wheel_holds_every_file_of_the_packages(tmp_path: Path) -> None:
    wheel = build_wheel(tmp_path)
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    missing = files_of(ROOT) - names
    assert not missing


def test_what_executors_run_from_is_there_and_spark_is_not(tmp_path: Path) -> None:
    made = write_archive(tmp_path / archive_name())
    with tarfile.open(made.path) as archive:
        members = {member.name: member for member in archive.getmembers()}
    site = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    assert members["bin/python"].mode == 0o755 and made.size_bytes == made.path.stat().st_size
    inside = {name.removeprefix(f"{site}/") for name in members}
    assert {name for name in files_of(ROOT) if name.endswith(".py")} <= inside
    assert not any(name.startswith(("pyspark/", "py4j/", "pytest/")) for name in inside)
    assert {member.uid for member in members.values()} == {0}
    names = [distribution.metadata["Name"].lower() for distribution in required_distributions()]
    assert len(names) == len(set(names)) and {"wetstream", "numba", "llvmlite", "pyarrow", "pydantic-core"} <= {
        name.replace("_", "-") for name in names
    }


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_wheel_in_an_empty_environment_counts_a_file(tmp_path: Path) -> None:
    """Installed by pip with its extras, in an environment and a home that hold nothing else."""
    wheel = build_wheel(tmp_path)
    venv.create(tmp_path / "empty", with_pip=True)
    python = tmp_path / "empty" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", f"{wheel}[redis,java]"], check=True, timeout=1200)
    bare = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path / "home"), "LANG": "C.UTF-8"}

    def wetstream(*arguments: str) -> str:
        command = [str(python.parent / "wetstream"), *arguments]
        done = subprocess.run(command, env=bare, cwd=tmp_path, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    (tmp_path / "home").mkdir()
    assert wetstream("--version").startswith("wetstream")
    shutil.copy(ROOT / "tests" / "data" / "sample-80.warc.wet.gz", tmp_path)
    try:
        wetstream("run", "sample-80.warc.wet.gz")
        assert json.loads(wetstream("stats", "--json"))["records"] == 81
        assert json.loads(wetstream("verify", "--json"))["ok"]
    finally:
        wetstream("down")
