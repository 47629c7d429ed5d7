"""Change the protocol's modules a little at a time, and see that a test notices each change.

    python -m tests.mutants [MODULE...]      # such as sinks/statistics/commit.py; all of MODULES by default
    python -m tests.mutants MODULE:100-120   # only the mutants of these lines

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
DERIVE = ["tests/sinks/test_derive.py"]
BATCHES = ["tests/streaming/test_batch_committer.py", "tests/streaming/test_statistics_committer.py"]
TOPIC = ["tests/producers/test_once.py", "tests/producers/test_delayed_end_txn.py"]
MARKERS = "tests/producers/test_markers.py"
MESSAGES = ["tests/streaming/test_messages.py", "tests/streaming/test_fused.py", "tests/streaming/test_files.py"]
READING = ["tests/producers/test_damage.py", "tests/producers/test_hostile.py", "tests/producers/test_reading.py"]
MODULES: dict[str, list[str]] = {
    "sinks/statistics/commit.py": [
        "tests/sinks/test_statistics.py",
        "tests/sinks/test_memory.py",
        "tests/sinks/test_shards.py",
    ],
    "sinks/statistics/chunk.py": ["tests/sinks/test_chunk.py", "tests/sinks/test_statistics.py"],
    "sinks/statistics/transactions.py": ["tests/sinks/test_transactions.py", "tests/sinks/test_statistics.py"],
    "streaming/batch_committer.py": BATCHES,
    "streaming/statistics_committer.py": BATCHES,
    "producers/topic/transactional.py": [*TOPIC, "tests/producers/test_abandoned.py"],
    "producers/topic/message.py": [*MESSAGES, "tests/producers/test_once.py"],
    "producers/topic/markers.py": [MARKERS, *TOPIC],
    "producers/topic/offsets.py": ["tests/producers/test_topics.py"],
    "producers/topic/topics.py": ["tests/producers/test_topics.py"],
    "producers/source_producer.py": TOPIC,
    "producers/fencing.py": [MARKERS, *TOPIC],
    "producers/wet/splitter.py": [*READING, "tests/producers/test_not_wet.py", "tests/producers/test_fast_path.py"],
    "sinks/documents/log.py": [*BATCHES, "tests/sinks/test_documents.py", "tests/sinks/test_damage.py"],
    "streaming/tasks/partials.py": ["tests/streaming/test_partials.py", *BATCHES],
    "sinks/statistics/builds.py": [*STATISTICS, "tests/sinks/test_owner.py", "tests/sinks/test_shards.py"],
    "sinks/statistics/derive.py": DERIVE,
    "sinks/statistics/memory.py": ["tests/sinks/test_memory.py"],
    "sinks/statistics/owner.py": ["tests/sinks/test_owner.py"],
    "sinks/statistics/resp.py": ["tests/sinks/test_resp.py"],
    "sinks/statistics/store.py": [*STATISTICS, "tests/sinks/test_memory.py", "tests/sinks/test_shards.py"],
    "sinks/statistics/stored.py": ["tests/sinks/test_stored.py", "tests/sinks/test_corrupt.py"],
    "sinks/statistics/sums.py": ["tests/sinks/test_sums.py", *DERIVE],
    "sinks/statistics/word_counts.py": ["tests/sinks/test_resp.py", *DERIVE],
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


def run(wanted: str) -> int:
    """Try the mutants of one module, or of some of its lines; print the survivors and the sum."""
    module, _, lines = wanted.partition(":")
    first, _, last = lines.partition("-")
    chosen = range(int(first or 0), int(last or first or sys.maxsize - 1) + 1)
    equivalent = tomllib.loads((HERE / "equivalent.toml").read_text()).get(module, {})
    outcomes: list[Outcome] = []
    out = os.fdopen(os.dup(1), "w", buffering=1)
    began = time.monotonic()

    def report(outcome: Outcome) -> None:
        outcomes.append(outcome)
        if not outcome.killer:
            out.write(f"SURVIVED {module}:{outcome.mutant.line} ({outcome.tests} tests)\n  {outcome.mutant.name}\n")
        if os.environ.get("WETSTREAM_MUTANTS_VERBOSE"):
            said = f"{outcome.mutant.line} {outcome.killer}\n  {outcome.mutant.name}\n"
            out.write(f"{time.monotonic() - began:.0f} s {said}")

    runner = MutantRunner(Path(module).resolve(), frozenset(equivalent), chosen, report)
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
    known = 0 if lines else len(equivalent)
    out.write(
        f"{wanted}: {len(outcomes) + known} mutants, {len(outcomes) - survivors} killed "
        f"({late} by a timeout), {known} equivalent, {survivors} survived; {time.monotonic() - began:.0f} s\n"
    )
    return int(survivors > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
