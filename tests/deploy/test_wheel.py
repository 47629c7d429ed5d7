"""The wheel holds all that a checkout does, and the archive for executors all that the wheel requires."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

from wetstream.cluster.archive import PACKAGES, archive_name, required_distributions, write_archive

ROOT = Path(__file__).resolve().parents[2]


def files_of(folder: Path) -> set[str]:
    return {
        str(file.relative_to(folder))
        for package in PACKAGES
        for file in (folder / package).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }


def test_a_wheel_holds_every_file_of_the_packages(tmp_path: Path) -> None:
    source = tmp_path / "source"
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
        str(tmp_path),
        ".",
    ]
    subprocess.run(command, cwd=source, check=True, timeout=200)
    (wheel,) = tmp_path.glob("wetstream-*.whl")
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
