"""Makes the documents of a small pipeline with an older version of wetstream; README.md beside this says when and how.

python tests/data/upgrades/make.py CHECKOUT_OF_THE_OLDER_VERSION
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
WET = HERE / "crawl-data/CC-MAIN-2016-50/segments/1480698540409.8/wet"


def main() -> None:
    """Replay the WET files from here with the version of a checkout, and keep the documents and what it verifies."""
    checkout = Path(sys.argv[1]).resolve()
    files = sorted(map(str, WET.glob("*.gz")))
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PYTHONPATH": str(checkout), "WETSTREAM_HOME": folder}

        def wetstream(*arguments: str) -> str:
            command = [sys.executable, "-m", "wetstream", *arguments]
            return subprocess.run(
                command, env=environment, cwd=checkout, check=True, capture_output=True, text=True
            ).stdout

        try:
            wetstream("replay", "--from", "files", "--profile", "p21", *files)
            verified = json.loads(wetstream("verify", "--json"))
        finally:
            wetstream("down")
        documents = Path(folder, "documents", "main")
        log = (documents / "g1" / "_delta_log" / f"{0:020d}.json").read_text()
        version = log.partition('wetstream.schema_version":"')[2].partition('"')[0]
        target = HERE / f"schema-{version}"
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(documents, target / "documents", ignore=shutil.ignore_patterns("profile-*", ".*.lock"))
        kept = {name: verified[name] for name in ("records", "digest")}
        (target / "verified.json").write_text(json.dumps(kept, indent=2) + "\n")


if __name__ == "__main__":
    main()
