"""The jars that pip cannot bring: the Kafka broker and Spark's Kafka connector, obtained once for each user."""

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
"""The tested bytes of every jar, in the format of the command sha256sum."""

DOWNLOAD_MB = 55

_MANIFEST = "manifest.json"

# Kafka brings slf4j 1.7 and no back end, so its broker would log nothing. pyspark has the back end for exactly the
# log4j that Kafka brings; it needs slf4j 2, which serves callers of 1.7 as well.
_LOGGING = ("slf4j-api-2.*.jar", "log4j-slf4j2-impl-*.jar")


@dataclass(frozen=True)
class Jars:
    """Absolute paths: `broker` is the broker's class path, `connector` is for Spark's setting `spark.jars`."""

    broker: list[Path]
    connector: list[Path]


def default_cache(environ: Mapping[str, str] = os.environ) -> Path:
    """The folder that holds all sets of jars: WETSTREAM_JARS, else `wetstream/jars` in XDG_CACHE_HOME or ~/.cache."""
    if environ.get("WETSTREAM_JARS"):
        return Path(environ["WETSTREAM_JARS"]).expanduser().absolute()
    caches = environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(caches).expanduser().absolute() / "wetstream" / "jars"


def jar_folder(cache: Path) -> Path:
    """The folder of the set that this version of wetstream wants; another version's set has another name."""
    wanted = IVY_XML.read_bytes() + SHA256.read_bytes()
    return cache.absolute() / hashlib.sha256(wanted).hexdigest()[:12]


def present_jars(cache: Path) -> Jars | None:
    """The jars if all of them are there in full length, else None. Takes about a millisecond; needs no Java."""
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
    """The jars, downloaded (about 55 MB) if they are not there in full.

    A set becomes visible by one rename after every jar was compared with its tested SHA-256, so a half-retrieved one
    never counts; of several processes at once one downloads and the others wait. Raises ServerError with the remedy if
    the jars cannot be had.
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
    # Kept when the download fails, so that the next attempt goes on with what is there; removed after success.
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
