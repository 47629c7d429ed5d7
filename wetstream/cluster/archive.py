"""The archive that executors of a cluster run from: wetstream and all that it needs, but for Python and Spark itself.

venv-pack would do the same for a virtual environment, but it refuses editable installs, and takes all of it along:
half a gigabyte of Spark's own jars, which every executor has, and whatever else is installed. Here the metadata of the
installed packages say what wetstream requires. The packages lie where a virtual environment has them, and `bin/python`
starts the machine's own Python with them.
"""

from __future__ import annotations

import io
import os
import platform
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

from isal import igzip
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from conf.errors import ExplainedError

PROJECT = "wetstream"
PACKAGES = ("conf", "producers", "serving", "sinks", "streaming", "topicmodels", "wetstream")
EXTRAS = ("s3",)
"""Extras that are taken along where they are installed: they are about data. The others bring servers or tools."""

OF_SPARK = frozenset({"pyspark", "py4j"})
"""Every executor gets these from its own Spark, in exactly its version."""

NOT_NEEDED_FOLDERS = frozenset({"tests", "include"})
NOT_NEEDED_SUFFIXES = (".pyi", ".h", ".hpp", ".c", ".a", ".pxd")
NOT_NEEDED_METADATA = frozenset({"RECORD", "direct_url.json", "INSTALLER", "REQUESTED"})

MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"
PYTHON = """#!/bin/sh
# Python {minor} of this machine, with the packages of this archive, which are compiled for that version.
root=$(cd "$(dirname "$0")/.." && pwd) || exit 1
PYTHONPATH="$root/lib/python{minor}/site-packages${{PYTHONPATH:+:$PYTHONPATH}}"
export PYTHONPATH
for python in "$WETSTREAM_PYTHON" python{minor} /usr/local/bin/python{minor} /usr/bin/python{minor} python3; do
  if [ -n "$python" ] && "$python" -c 'import sys; sys.exit(sys.version_info[:2] != ({comma}))' 2>/dev/null; then
    exec "$python" "$@"
  fi
done
echo "RuntimeError: there is no Python {minor} on $(hostname): install it, or name it for the executors with" \\
  "spark.executorEnv.WETSTREAM_PYTHON" >&2
exit 127
"""


class PackageError(ExplainedError):
    """The archive cannot be made; the message names the package or the file."""


@dataclass(frozen=True, slots=True)
class Archive:
    """An archive that was written: where it is, its size, and how many distributions it holds."""

    path: Path
    size_bytes: int
    distributions: int


def archive_name() -> str:
    """The usual name, which says what the archive fits: version, Python and machine."""
    tag = f"cp{sys.version_info.major}{sys.version_info.minor}"
    return f"{PROJECT}-{metadata.version(PROJECT)}-{tag}-{sys.platform}_{platform.machine()}.tar.gz"


def write_archive(target: Path) -> Archive:
    """Write the archive; the file is there as a whole or not at all. Equal installations give equal contents.

    Args:
        target: Its path.

    Raises:
        PackageError: A package that wetstream requires is not installed.
        OSError: The file cannot be written.
    """
    if target.exists() and not target.is_file():  # a device, say, would be replaced by a file
        raise OSError(f"{target} is no regular file: name another one")
    if not target.parent.is_dir():
        raise OSError(f"{target.parent} is no folder: make it, or name another file")
    distributions = required_distributions()
    members: dict[str, Path] = {}
    site = PurePosixPath("lib", f"python{MINOR}", "site-packages")
    for distribution in distributions:
        members |= {str(site / name): path for name, path in _files(distribution)}
    members |= {str(site / name): path for name, path in _own_files()}
    fresh = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with (
            fresh.open("xb") as file,
            igzip.IGzipFile("", "wb", 2, file, mtime=0) as packed,  # type: ignore[no-untyped-call]
            tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
        ):
            _add_text(archive, "bin/python", PYTHON.format(minor=MINOR, comma=MINOR.replace(".", ", ")))
            for name in sorted(members):
                archive.add(members[name], name, recursive=False, filter=_anonymous)
        fresh.replace(target)
    finally:
        fresh.unlink(missing_ok=True)
    return Archive(target, target.stat().st_size, len(distributions))


def required_distributions() -> list[metadata.Distribution]:
    """The installed distributions that wetstream requires, without those of Spark, ordered by name.

    Raises:
        PackageError: One is not installed.
    """
    found: dict[str, metadata.Distribution] = {}
    waiting = [(PROJECT, frozenset(EXTRAS), False)]
    while waiting:
        name, extras, optional = waiting.pop()
        if name in OF_SPARK or name in found:
            continue
        try:
            found[name] = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            if optional:
                continue
            raise PackageError(f"{name}, which wetstream requires, is not installed: pip install {name}") from None
        for text in found[name].requires or []:
            requirement = Requirement(text)
            always = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
            if always or any(requirement.marker.evaluate({"extra": extra}) for extra in extras):  # type: ignore[union-attr]
                waiting.append((canonicalize_name(requirement.name), frozenset(requirement.extras), not always))
    return [found[name] for name in sorted(found)]


def _files(distribution: metadata.Distribution) -> Iterator[tuple[PurePosixPath, Path]]:
    """Files of a distribution that running it takes: their names in site-packages, and where they are."""
    own = canonicalize_name(distribution.metadata["Name"]) == PROJECT
    for file in distribution.files or []:
        name = PurePosixPath(file)
        path = Path(str(distribution.locate_file(file)))
        if own and not name.parts[0].endswith(".dist-info"):
            continue  # an editable install names none of its modules: see `_own_files`
        if name.parts[0] != ".." and not name.is_absolute() and _is_needed(name) and path.is_file():
            yield name, path


def _own_files() -> Iterator[tuple[PurePosixPath, Path]]:
    for package in PACKAGES:
        spec = find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise PackageError(f"the package {package} of wetstream is not installed: pip install wetstream")
        folder = Path(spec.submodule_search_locations[0])
        for path in folder.rglob("*"):
            name = PurePosixPath(package, *path.relative_to(folder).parts)
            if path.is_file() and _is_needed(name):
                yield name, path


def _is_needed(name: PurePosixPath) -> bool:
    if name.suffix == ".pyc" and not name.name.endswith(f".{sys.implementation.cache_tag}.pyc"):
        return False
    return not (
        NOT_NEEDED_FOLDERS.intersection(name.parts[:-1])
        or name.name.endswith(NOT_NEEDED_SUFFIXES)
        or (name.parts[0].endswith(".dist-info") and name.name in NOT_NEEDED_METADATA)
    )


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Without the packer's user. Times stay: compiled modules (`.pyc`) are checked against those of their sources."""
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    member.mode = 0o755 if member.mode & 0o111 else 0o644
    member.mtime = int(member.mtime)
    return member


def _add_text(archive: tarfile.TarFile, name: str, text: str) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(text.encode()), 0o755
    archive.addfile(_anonymous(member), io.BytesIO(text.encode()))
