"""Java for Spark: quiet on the terminal, and fast to start by class-data sharing (JEP 350).

Most of a short run is Java loading some 20,000 classes of Spark. The first run on a machine archives them at its end;
later ones map the archive, which halves the CPU time until the first micro-batch. Java itself checks that an archive
fits its version and class path, and runs without one that does not.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import sys
from pathlib import Path

import psutil
import pyspark

from conf.private_folders import is_trusted

# Spark adds an incubator module that only speeds up linear algebra; Java then warns at every start, and a runtime
# without the module does not start at all. The output of the JVM and of Python workers goes to a file.
WRAPPER = """#!/bin/bash
# A signal to the whole process group is for the driver, which stops Spark after the current micro-batch. (Java leaves a
# signal ignored that it has inherited as ignored, and ends with the driver in any case.)
trap '' TERM INT
archive={archive}
arguments=() sharing=()
# spark-submit first runs a small Java that puts the command line of the real one together.
[[ "$*" = *org.apache.spark.launcher.Main* ]] && archive=
for argument in "$@"; do
  [ "$argument" = --add-modules=jdk.incubator.vector ] || arguments+=("$argument")
  if [ "$argument" = org.apache.spark.deploy.SparkSubmit ] && [ -n "$archive" ]; then
    if [ -f "$archive" ]; then sharing=("-XX:SharedArchiveFile=$archive")
    else sharing=("-XX:ArchiveClassesAtExit=$archive.$$"); fi
    sharing+=(-Xlog:disable -Xlog:all=error:stderr)
  fi
done
exec {java} "${{sharing[@]}}" "${{arguments[@]}}" 2>>{log}
"""


def quiet_java(java: Path, folder: Path) -> Path:
    """Make a JAVA_HOME below `folder` whose `java` runs the given one, with stderr in `folder`/jvm.log."""
    home = folder / "java"
    wrapper = home / "bin" / "java"
    wrapper.parent.mkdir(parents=True, exist_ok=True)
    archive = _archive(java)
    text = WRAPPER.format(
        java=shlex.quote(str(java)),
        log=shlex.quote(str(folder / "jvm.log")),
        archive=shlex.quote(str(archive or "")),
    )
    if not wrapper.exists() or wrapper.read_text() != text:
        fresh = wrapper.with_name(f"java.{os.getpid()}")
        fresh.write_text(text)
        fresh.chmod(0o755)
        fresh.replace(wrapper)
    return home


def _archive(java: Path) -> Path | None:
    """Return the path of the archive, in the environment of this Spark; None if it is not writable or not safe."""
    folder = Path(sys.prefix) / "share" / "wetstream"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    # Java loads code from it.
    if not os.access(folder, os.W_OK) or not is_trusted(folder):
        return None
    fits = hashlib.sha256(f"{java.resolve()}\n{pyspark.__version__}".encode()).hexdigest()[:12]
    archive = folder / f"spark-{fits}.jsa"
    _adopt(archive)
    return archive


def _adopt(archive: Path) -> None:
    """Use the archive of an earlier Java. Its header is written last, so Java rejects a truncated one."""
    for recorded in archive.parent.glob(f"{archive.name}.*"):
        process = recorded.suffix[1:]
        if not process.isdigit() or psutil.pid_exists(int(process)):
            continue
        if archive.exists():
            recorded.unlink(missing_ok=True)
        else:
            recorded.rename(archive)
