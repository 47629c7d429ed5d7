"""Fuzz the reader, and the properties marked `fuzz`, with new seeds each time: `make fuzz`.

First the files that once failed (corpus.txt), then new ones: damaged, hostile or both. A file that fails is named by
its seed; add the seed to corpus.txt with the fix. Then the properties that are marked `fuzz`, with many examples each.
"""

from __future__ import annotations

import argparse
import faulthandler
import itertools
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait

from tests.fuzz.corpus import seeds
from tests.producers.damage import fuzz_case

FILES_PER_CALL = 200
HANG_S = 120
"""No file takes a second; one that takes this long hangs, on any machine."""
SHARE_OF_FILES = 0.6
EXAMPLES = "20"


def read(numbers: list[int]) -> tuple[int, list[str]]:
    """Run some cases; return how many, and what failed."""
    failed = []
    for seed in numbers:
        faulthandler.dump_traceback_later(HANG_S, exit=True)
        try:
            fuzz_case(seed)
        except Exception as error:
            failed.append(f"seed {seed}: {type(error).__name__}: {str(error)[:500]}")
        finally:
            faulthandler.cancel_dump_traceback_later()
    return len(numbers), failed


def fuzz_files(limit: int, until: float, workers: int) -> tuple[int, list[str]]:
    """Read new files until the limit or the time is reached."""
    batches = _batches(limit)
    done, failed = 0, []
    running: set[Future[tuple[int, list[str]]]] = set()
    with ProcessPoolExecutor(workers) as pool:
        while True:
            while len(running) < 2 * workers and time.monotonic() < until and (batch := next(batches, None)):
                running.add(pool.submit(read, batch))
            if not running:
                return done, failed
            ended, running = wait(running, return_when=FIRST_COMPLETED)
            for call in ended:
                number, found = call.result()  # a process that hung was ended, which raises here
                done += number
                failed += found
                for line in found:
                    print(line, flush=True)


def _batches(limit: int) -> Iterator[list[int]]:
    """Seeds that no run before this one had, in all likelihood."""
    first = random.SystemRandom().getrandbits(62)
    for begin in itertools.count(0, FILES_PER_CALL):
        if begin >= limit:
            return
        yield list(range(first + begin, first + min(begin + FILES_PER_CALL, limit)))


def fuzz_properties(until: float) -> int:
    """Run the marked properties again and again, with another seed each time; return how often they all passed."""
    for rounds in itertools.count():
        if time.monotonic() >= until and rounds:
            return rounds
        seed = random.SystemRandom().getrandbits(32)
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-m", "fuzz", f"--hypothesis-seed={seed}", "tests"]
        command += ["--hypothesis-profile=random", "--timeout=0"]
        if subprocess.run(command, env={**os.environ, "WETSTREAM_EXAMPLES": EXAMPLES}).returncode:
            sys.exit(f"a property failed with --hypothesis-seed={seed}")
    raise AssertionError


def main() -> None:
    """Run all of it."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    begun = time.monotonic()
    known, failed = read(seeds())
    done, more = fuzz_files(given.files, begun + given.minutes * 60 * SHARE_OF_FILES, given.workers)
    failed += more
    took = time.monotonic() - begun
    print(
        f"{known:,} files of the corpus and {done:,} new ones read in {took:,.0f} s, {len(failed)} failed", flush=True
    )
    if failed:
        sys.exit("\n".join(failed[:20]))
    rounds = fuzz_properties(begun + given.minutes * 60)
    print(f"properties passed {rounds} times with new seeds", flush=True)


if __name__ == "__main__":
    main()
