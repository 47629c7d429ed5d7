"""Change the protocol's modules a little at a time, and see that a test notices each change.

    python -m tests.mutants [MODULE...]      # such as sinks/statistics/commit.py; all of MODULES by default

A survivor is a change that no test notices. Those that change nothing that matters are in equivalent.toml, each with
the reason. The exit code is 1 if there is another one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

import pytest

from tests.mutants.forked import MutantRunner, Outcome
from wetstream.servers import embedded

HERE = Path(__file__).parent
STATISTICS = ["tests/sinks/test_statistics.py", "tests/sinks/test_builds.py", "tests/sinks/test_corrupt.py"]
BATCHES = ["tests/streaming/test_batch_committer.py", "tests/streaming/test_statistics_committer.py"]
TOPIC = ["tests/producers/test_once.py", "tests/producers/test_delayed_end_txn.py"]
MESSAGES = ["tests/streaming/test_messages.py", "tests/streaming/test_fused.py", "tests/streaming/test_files.py"]
READING = ["tests/producers/test_damage.py", "tests/producers/test_hostile.py", "tests/producers/test_reading.py"]
MODULES: dict[str, list[str]] = {
    "sinks/statistics/commit.py": [*STATISTICS, "tests/sinks/test_memory.py"],
    "sinks/statistics/chunk.py": STATISTICS,
    "sinks/statistics/transactions.py": STATISTICS,
    "streaming/batch_committer.py": BATCHES,
    "streaming/statistics_committer.py": BATCHES,
    "producers/topic/transactional.py": TOPIC,
    "producers/topic/message.py": [*MESSAGES, "tests/producers/test_once.py"],
    "producers/topic/markers.py": TOPIC,
    "producers/topic/offsets.py": TOPIC,
    "producers/topic/topics.py": TOPIC,
    "producers/source_producer.py": TOPIC,
    "producers/fencing.py": TOPIC,
    "producers/wet/splitter.py": [*READING, "tests/producers/test_not_wet.py", "tests/producers/test_fast_path.py"],
    "sinks/documents/log.py": [*BATCHES, "tests/sinks/test_documents.py", "tests/sinks/test_damage.py"],
    "streaming/tasks/partials.py": [*BATCHES, *MESSAGES, "tests/sinks/test_sums.py"],
    "sinks/statistics/builds.py": STATISTICS,
    "sinks/statistics/derive.py": STATISTICS,
    "sinks/statistics/memory.py": ["tests/sinks/test_memory.py"],
    "sinks/statistics/owner.py": ["tests/sinks/test_owner.py"],
    "sinks/statistics/resp.py": STATISTICS,
    "sinks/statistics/store.py": STATISTICS,
    "sinks/statistics/stored.py": STATISTICS,
    "sinks/statistics/sums.py": [*STATISTICS, "tests/sinks/test_sums.py"],
    "sinks/statistics/word_counts.py": STATISTICS,
}


def main(modules: list[str]) -> int:
    """Start the servers; run each module in an interpreter of its own; end the servers."""
    if os.environ.get("WETSTREAM_TEST_HOME"):
        return run(modules[0])
    with tempfile.TemporaryDirectory(prefix="wetstream-mutants-") as folder:
        home = Path(folder)
        embedded.up(home, log=print, heap_mb=256)
        try:
            environment = {**os.environ, "WETSTREAM_TEST_HOME": folder}
            codes = [
                subprocess.run([sys.executable, "-m", "tests.mutants", module], env=environment).returncode
                for module in modules or MODULES
            ]
        finally:
            embedded.down(home, log=print)
            shutil.rmtree(f"{folder}-tests", ignore_errors=True)
    return int(any(codes))


def run(module: str) -> int:
    """Try the mutants of one module; print the survivors and the sum."""
    equivalent = tomllib.loads((HERE / "equivalent.toml").read_text()).get(module, {})
    outcomes: list[Outcome] = []
    out = os.fdopen(os.dup(1), "w", buffering=1)
    began = time.monotonic()

    def report(outcome: Outcome) -> None:
        outcomes.append(outcome)
        if not outcome.killer:
            out.write(f"SURVIVED {module}:{outcome.mutant.line} ({outcome.tests} tests)\n  {outcome.mutant.name}\n")
        if os.environ.get("WETSTREAM_MUTANTS_VERBOSE"):
            out.write(f"{time.monotonic() - began:.0f} s {outcome.mutant.line} {outcome.killer}\n")

    runner = MutantRunner(Path(module).resolve(), frozenset(equivalent), report)
    options = ["-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:terminal", "-o", "addopts=--strict-markers"]
    # A folder of its own: pytest removes all but the last three runs below its default one.
    options += ["-m", "not slow", f"--basetemp={os.environ['WETSTREAM_TEST_HOME']}-tests"]
    code = pytest.main([*options, *MODULES[module]], plugins=[runner])
    if code != pytest.ExitCode.OK or not outcomes:
        runner.error = runner.error or f"pytest ended with {code}"
    if runner.error:
        out.write(f"{module}: {runner.error}\n")
        return 1
    survivors = sum(not outcome.killer for outcome in outcomes)
    late = sum(outcome.killer == "timeout" for outcome in outcomes)
    out.write(
        f"{module}: {len(outcomes) + len(equivalent)} mutants, {len(outcomes) - survivors} killed "
        f"({late} by a timeout), {len(equivalent)} equivalent, {survivors} survived; {time.monotonic() - began:.0f} s\n"
    )
    return int(survivors > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
