"""Java for Spark, without its chatter on the terminal."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

# Spark asks for an incubating module that only speeds up linear algebra, and Java then warns on every start; a
# runtime without the module does not start at all. What JVM and Python workers print goes to a file.
WRAPPER = """#!/bin/bash
arguments=()
for argument in "$@"; do
  [ "$argument" = --add-modules=jdk.incubator.vector ] || arguments+=("$argument")
done
exec {java} "${{arguments[@]}}" 2>>{log}
"""


def quiet_java(java: Path, folder: Path) -> Path:
    """A JAVA_HOME below `folder` whose `java` runs the given one; its standard error goes to `folder`/jvm.log."""
    home = folder / "java"
    wrapper = home / "bin" / "java"
    wrapper.parent.mkdir(parents=True, exist_ok=True)
    text = WRAPPER.format(java=shlex.quote(str(java)), log=shlex.quote(str(folder / "jvm.log")))
    if not wrapper.exists() or wrapper.read_text() != text:
        fresh = wrapper.with_name(f"java.{os.getpid()}")
        fresh.write_text(text)
        fresh.chmod(0o755)
        fresh.replace(wrapper)
    return home
