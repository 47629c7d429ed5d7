"""The jars that pyspark ships."""

from importlib.util import find_spec
from pathlib import Path

from wetstream.servers.errors import ServerError


def bundled_jar(pattern: str) -> Path:
    """Return the jar of pyspark whose file name matches. Raises ServerError if there is none."""
    # Not by importing pyspark: that takes a quarter of a second, and `status` needs none of it.
    spec = find_spec("pyspark")
    for package in (spec.submodule_search_locations or []) if spec else []:
        for jar in sorted((Path(package) / "jars").glob(pattern)):
            return jar
    raise ServerError(f"pyspark's jar {pattern} is missing", "Install it again: pip install --force-reinstall pyspark.")
