"""What is missing or wrong on this machine, and the remedy."""

import os
import shutil
import sys
import tempfile
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import psutil

from conf.addresses import BootstrapServers, RedisServers
from conf.private_folders import UnsafeFolderError, check_owner
from conf.settings import Settings
from sinks.storage.folder import Folder
from sinks.storage.locate import documents_location
from sinks.storage.location import Location
from wetstream.servers.check import Check, Needs
from wetstream.servers.checks import check_jars, check_java, check_kafka, check_ports, check_redis
from wetstream.servers.java.jars import default_cache

PYTHON_FROM, PYTHON_BELOW = (3, 11), (3, 14)
SPARK = "4.2."
"""The jars of the connector are of this Spark."""

DISK_WARN_GB, DISK_FAIL_GB = 5.0, 1.0
MEMORY_WARN_GB, MEMORY_FAIL_GB = 3.0, 1.0

_CGROUP = Path("/sys/fs/cgroup")


def outside_documents(settings: Settings) -> Location | None:
    """Return the place of the documents; None if it is in the state directory, which has a check of its own."""
    location = documents_location(settings)
    inside = isinstance(location, Folder) and location.path.is_relative_to(settings.home)
    return None if inside else location


def run_checks(
    home: Path,
    *,
    bootstrap_servers: BootstrapServers | None,
    redis_servers: RedisServers | None,
    needs: Needs = Needs(),  # noqa: B008 (frozen)
    documents: Location | None = None,
) -> list[Check]:
    """Every check, in the order of what builds on what; starts nothing, and writes nothing that stays.

    `home` is the state directory; `bootstrap_servers` and `redis_servers` are the configured outside servers, None for
    the embedded ones; `documents` is their place if it is outside the home. Takes about a second, and up to 3 s more
    for each outside server that does not answer.
    """
    home = home.absolute()
    return [
        check_python(),
        check_spark(),
        check_checksums(),
        check_java(home),
        check_jars(default_cache()),
        check_home(home),
        check_disk(home, documents),
        check_memory(),
        check_ports(home, kafka=bootstrap_servers is None, redis=redis_servers is None),
        check_kafka(home, bootstrap_servers, needs),
        *check_redis(home, redis_servers, needs),
        *([] if documents is None else [check_documents(documents)]),
    ]


def check_documents(documents: Location) -> Check:
    """Whether documents can be written: to an object store by one writer at a time, or to a folder."""
    here = documents
    if isinstance(documents, Folder):
        here = Folder(_existing(documents.path))
    try:
        here.check_writable()
    except OSError as error:
        remedy = (
            f"Make {here} writable, or name another place with documents.path."
            if isinstance(here, Folder)
            else "docs/storage.md says which options and keys it takes."
        )
        return Check("Documents", "fail", f"{documents} cannot be used: {error.strerror}", remedy)
    if isinstance(here, Folder):
        return Check(
            "Documents", "ok", str(documents) if here == documents else f"{documents} (made at the first start)"
        )
    return Check("Documents", "ok", f"{documents} takes conditional writes")


def check_python() -> Check:
    """The version that the packages were tested with."""
    here = f"{sys.version.split()[0]} ({sys.executable})"
    if PYTHON_FROM <= sys.version_info[:2] < PYTHON_BELOW:
        return Check("Python", "ok", here)
    wanted = f"{PYTHON_FROM[0]}.{PYTHON_FROM[1]} or newer, below {PYTHON_BELOW[0]}.{PYTHON_BELOW[1]}"
    return Check("Python", "fail", here, f"Make the virtual environment with Python {wanted}.")


def check_spark() -> Check:
    """The pyspark that belongs to the connector's jars."""
    version = metadata.version("pyspark")
    if version.startswith(SPARK):
        return Check("Spark", "ok", f"pyspark {version}")
    return Check(
        "Spark", "fail", f"pyspark {version}", f"The Kafka connector is for {SPARK}x: pip install 'pyspark=={SPARK}*'"
    )


def check_checksums() -> Check:
    """The compiled CRC-32C: without it kafka-python computes each batch's checksum in Python."""
    if find_spec("crc32c"):
        return Check("Checksums", "ok", "crc32c is compiled")
    return Check("Checksums", "warn", "crc32c is missing: ingesting is 13 times slower", "pip install crc32c")


def check_home(home: Path) -> Check:
    """Whether the state directory can be written, or made."""
    existing = _existing(home)
    remedy = f"Make {existing} writable, or name another state directory with WETSTREAM_HOME."
    try:
        if existing == home:
            check_owner(home)
        with tempfile.TemporaryFile(dir=existing):
            pass
    except UnsafeFolderError as error:
        return Check("State", "fail", str(error), "Name another state directory with WETSTREAM_HOME.")
    except OSError as error:
        return Check("State", "fail", f"{home} cannot be written: {error.strerror}", remedy)
    return Check("State", "ok", str(home) if existing == home else f"{home} (made at the first start)")


def check_disk(home: Path, documents: Location | None = None) -> Check:
    """Room for the topic, which keeps every record, and for the documents; the fuller one if they are apart."""
    folders = [home, *([documents.path] if isinstance(documents, Folder) else [])]
    free_gb, fullest = min((shutil.disk_usage(_existing(folder)).free / 1e9, folder) for folder in folders)
    setting = "WETSTREAM_HOME" if fullest == home else "documents.path"
    return _by_amount("Disk", free_gb, DISK_WARN_GB, DISK_FAIL_GB, f"Make room, or set {setting} (now {fullest}).")


def check_memory() -> Check:
    """Room for Spark, the broker and Redis; inside a container, what its limit leaves."""
    free_bytes = psutil.virtual_memory().available
    try:
        limit, used = ((_CGROUP / name).read_text().strip() for name in ("memory.max", "memory.current"))
        if limit != "max":
            free_bytes = min(free_bytes, int(limit) - int(used))
    except (OSError, ValueError):
        pass
    return _by_amount("Memory", free_bytes / 1e9, MEMORY_WARN_GB, MEMORY_FAIL_GB, "End other programs, or add memory.")


def _by_amount(name: str, free_gb: float, warn_gb: float, fail_gb: float, remedy: str) -> Check:
    detail = f"{free_gb:.1f} GB free"
    if free_gb >= warn_gb:
        return Check(name, "ok", detail)
    wanted = f"{remedy} At least {fail_gb:g} GB must be free, {warn_gb:g} GB are advised."
    return Check(name, "warn" if free_gb >= fail_gb else "fail", detail, wanted)


def _existing(path: Path) -> Path:
    """The path itself, or the nearest folder above it that is there."""
    while not os.path.lexists(path) and path != path.parent:
        path = path.parent
    return path
