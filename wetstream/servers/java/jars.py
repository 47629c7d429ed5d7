"""The jars that pip does not install: the Kafka broker and Spark's Kafka connector, downloaded once per user."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from conf.private_folders import is_trusted, is_writable_by_others
from wetstream.servers.errors import ServerError
from wetstream.servers.java.ivy import retrieve
from wetstream.servers.java.pyspark_jars import bundled_jar
from wetstream.servers.java.runtime import Java
from wetstream.servers.locks import exclusive

IVY_XML = Path(__file__).with_name("ivy.xml")
SHA256 = Path(__file__).with_name("jars.sha256")
"""Checksums of the tested jars, in the format of sha256sum."""

DOWNLOAD_MB = 55

_MANIFEST = "manifest.json"

# Kafka ships slf4j 1.7 without a back end, so its broker would log nothing. pyspark has the back end for exactly the
# log4j that Kafka ships; it needs slf4j 2, which is compatible with callers of 1.7.
_LOGGING = ("slf4j-api-2.*.jar", "log4j-slf4j2-impl-*.jar")


@dataclass(frozen=True)
class Jars:
    """Absolute paths: `broker` is the broker's class path, `connector` goes into `spark.jars`."""

    broker: list[Path]
    connector: list[Path]


def default_cache(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the cache of jars: WETSTREAM_JARS, else `wetstream/jars` in XDG_CACHE_HOME or ~/.cache."""
    if environ.get("WETSTREAM_JARS"):
        return Path(environ["WETSTREAM_JARS"]).expanduser().absolute()
    caches = environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(caches).expanduser().absolute() / "wetstream" / "jars"


def jar_folder(cache: Path) -> Path:
    """Return the folder of the jars of this version of wetstream; other versions have folders of their own."""
    wanted = IVY_XML.read_bytes() + SHA256.read_bytes()
    return cache.absolute() / hashlib.sha256(wanted).hexdigest()[:12]


def present_jars(cache: Path) -> Jars | None:
    """Return the jars if all are there in full length, else None. Takes about a millisecond; needs no Java.

    Raises:
        ServerError: Other users of this machine could have changed them.
    """
    folder = jar_folder(cache)
    try:
        sizes: dict[str, int] = json.loads((folder / _MANIFEST).read_text())
        files = {name: (folder / name).stat() for name in sizes}
    except (OSError, ValueError, TypeError):
        return None
    if not sizes or any(files[name].st_size != size for name, size in sizes.items()):
        return None
    if not is_trusted(folder) or any(is_writable_by_others(found) for found in files.values()):
        raise ServerError(
            f"the jars in {folder} could have been changed by other users of this machine, and Java would run them",
            f"Remove {folder} and see that you own the folders above it and nobody else can write there, or name "
            "another folder with WETSTREAM_JARS.",
        )
    return Jars(
        broker=[
            *(bundled_jar(pattern) for pattern in _LOGGING),
            *(folder / name for name in sizes if name.startswith("broker/")),
        ],
        connector=[folder / name for name in sizes if name.startswith("connector/")],
    )


def obtain_jars(cache: Path, java: Java, log: Callable[[str], None] = print) -> Jars:
    """Return the jars, after downloading them (about 55 MB) if they are not there in full.

    A set becomes visible by one rename after the SHA-256 of every jar was checked, so a partial one never counts. Of
    several processes one downloads and the others wait.

    Raises:
        ServerError: The jars cannot be downloaded or kept.
    """
    present = present_jars(cache)
    if present:
        return present
    folder = jar_folder(cache)
    try:
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with exclusive(folder.with_suffix(".lock"), lambda: log("jars: waiting for another process that obtains them")):
            return present_jars(cache) or _obtain(folder, java, log)
    except OSError as error:
        raise ServerError(
            f"The jars cannot be kept in {cache} ({error})", "Make room, or name another folder with WETSTREAM_JARS."
        ) from error


def _obtain(folder: Path, java: Java, log: Callable[[str], None]) -> Jars:
    # Kept when the download fails, so that the next attempt resumes; removed after success.
    downloads = folder.with_suffix(".downloads")
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f"{folder.name}.") as temporary:
        fresh = Path(temporary) / "jars"
        retrieve(IVY_XML, downloads, fresh, java, log)
        sizes = _checked_sizes(fresh)
        (fresh / _MANIFEST).write_text(json.dumps(sizes, indent=1))
        shutil.rmtree(folder, ignore_errors=True)
        fresh.rename(folder)
    shutil.rmtree(downloads, ignore_errors=True)
    jars = present_jars(folder.parent)
    if jars is None:
        raise ServerError(f"The jars in {folder} are not complete", "Remove that folder and try again.")
    return jars


def _checked_sizes(folder: Path) -> dict[str, int]:
    sizes = {}
    for line in SHA256.read_text().splitlines():
        digest, name = line.split(maxsplit=1)
        try:
            jar = (folder / name).read_bytes()
        except FileNotFoundError as error:
            raise ServerError(f"Ivy did not bring {name}", f"Remove {folder.parent.parent} and try again.") from error
        if hashlib.sha256(jar).hexdigest() != digest:
            raise ServerError(
                f"{name} is not the tested file (its SHA-256 is not {digest})",
                "Something between here and the repository changes downloads: use another network, "
                f"remove {folder.parent.parent} and try again.",
            )
        sizes[name] = len(jar)
    return sizes
