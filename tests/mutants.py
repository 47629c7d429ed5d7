"""Run mutmut over the modules that pyproject.toml names (`[tool.mutmut]`), on servers that are started once.

    python -m tests.mutants [PATTERN...]     # only the mutants whose names fit, such as sinks.statistics.commit*

mutmut keeps its results in the folder `mutants`; `mutmut results` lists the survivors, `mutmut show NAME` the change.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from wetstream.servers import embedded


def main() -> int:
    """Start the servers, run mutmut, end the servers; return mutmut's exit code."""
    with tempfile.TemporaryDirectory(prefix="wetstream-mutants-") as folder:
        home = Path(folder)
        embedded.up(home, log=print, heap_mb=256)
        try:
            environment = {**os.environ, "WETSTREAM_TEST_HOME": folder}
            return subprocess.run([sys.executable, "-m", "mutmut", "run", *sys.argv[1:]], env=environment).returncode
        finally:
            embedded.down(home, log=print)


if __name__ == "__main__":
    sys.exit(main())
