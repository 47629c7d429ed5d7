"""The words of a whole crawl in Redis: memory, commits and look-ups from one to fifty million distinct words.

    python -m bench.redis.words [--millions 1 10 50] [--shards 16]

Words are added by the sink's own commits, half a million new ones at a time. At each size: bytes of Redis for a word,
the time of a commit of half a million words that are all known (seven letters, Zipf-like frequencies), and that of
looking up one word as `wetstream word` does, without the connection.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from redis import Redis

from bench import report
from bench.corpus import HOME
from serving.word_lookup import look_up_words
from sinks.keys import Keys, build_prefix, live_key
from sinks.statistics.store import Statistics
from sinks.statistics.sums import SourceCount, Sums
from wetstream.pipeline.connections import open_redis
from wetstream.servers import embedded

PIPELINE = "words"
COMMIT_WORDS = 500_000
LETTERS = 7
NAMES = 26**LETTERS
SPREAD = 5_000_000_029  # a prime: numbers times this, modulo NAMES, are different words all over the alphabet
CHUNK_WORDS, TOP_WORDS = 2_000, 10_000  # the defaults
REPEATS = 5
LOOKUPS = 20_000
WARMUP = 1_000


def names(numbers: NDArray[np.int64]) -> NDArray[np.bytes_]:
    """A word of seven letters for each number, bytewise sorted."""
    left = np.array([number * SPREAD % NAMES for number in numbers.tolist()], np.int64)
    letters = np.empty((len(left), LETTERS), np.uint8)
    for place in reversed(range(LETTERS)):
        letters[:, place] = left % 26 + ord("a")
        left //= 26
    return np.sort(letters.view(f"S{LETTERS}").ravel())


def sums_of(words: NDArray[np.bytes_], df: NDArray[np.int64]) -> Sums:
    array = pa.FixedSizeBinaryArray.from_buffers(pa.binary(LETTERS), len(words), [None, pa.py_buffer(words.tobytes())])
    sums = Sums(words=pa.table({"word": array.cast(pa.binary()), "tf": df, "df": df}))
    sums.add_source("source", "", SourceCount(1_000, int(df.sum()), 1 << 28))
    return sums


class Filled:
    """Statistics that grow; the position counts the commits."""

    def __init__(self, client: Redis, shards: int) -> None:
        keys = Keys(build_prefix(PIPELINE, "g1", 1, shards))
        self._client = client
        self._target = Statistics(client, keys, chunk_words=CHUNK_WORDS, top_words=TOP_WORDS)
        self._commits = 0
        self.words = 0
        client.set(live_key(PIPELINE), keys.prefix)

    def commit(self, sums: Sums) -> float:
        """Seconds of one commit."""
        start = {"t/0": self._commits} if self._commits else {}
        began = time.perf_counter()
        self._target.commit(sums, start, {"t/0": self._commits + 1})
        self._commits += 1
        return time.perf_counter() - began

    def grow(self, words: int) -> None:
        while self.words < words:
            more = names(np.arange(self.words, self.words + COMMIT_WORDS))
            self.commit(sums_of(more, np.ones(COMMIT_WORDS, np.int64)))
            self.words += COMMIT_WORDS
        while self._client.info("persistence")["aof_rewrite_in_progress"]:
            time.sleep(0.5)

    def known(self, number: int, seed: int) -> NDArray[np.int64]:
        return np.random.default_rng(seed).choice(self.words, number, replace=False).astype(np.int64)

    def measure(self) -> dict[str, Any]:
        rng = np.random.default_rng(1)
        commits = []
        for seed in range(REPEATS):
            df = np.minimum(rng.zipf(1.6, COMMIT_WORDS), 20_000).astype(np.int64)
            commits.append(self.commit(sums_of(names(self.known(COMMIT_WORDS, seed)), df)))
        wanted = [word.decode() for word in names(self.known(LOOKUPS, 99))]
        np.random.default_rng(2).shuffle(wanted)
        waits = []
        for word in wanted:
            began = time.perf_counter()
            (found,) = look_up_words(self._client, PIPELINE, [word])["words"]
            waits.append(time.perf_counter() - began)
            if not found["df"]:
                raise AssertionError(f"{word} is not counted")
        waits = waits[WARMUP:]
        return {
            "words": self.words,
            "bytes a word": self._client.info("memory")["used_memory"] / self.words,
            "commit, median s": statistics.median(commits),
            "commit, best s": min(commits),
            "look-up p50, ms": 1e3 * statistics.median(waits),
            "look-up p99, ms": 1e3 * float(np.percentile(waits, 99)),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--millions", type=float, nargs="+", default=[1, 10, 50])
    parser.add_argument("--shards", type=int, default=16)
    options = parser.parse_args()
    endpoints = embedded.up(HOME / "words", kafka=False)
    assert endpoints.redis_servers is not None
    rows: list[dict[str, Any]] = []
    try:
        client = open_redis(endpoints.redis_servers, PIPELINE)
        client.flushdb()
        filled = Filled(client, options.shards)
        for millions in options.millions:
            filled.grow(int(millions * 1e6))
            rows.append(filled.measure())
            print(rows[-1], flush=True)
        client.flushdb(asynchronous=True)
    finally:
        embedded.down(HOME / "words")
    ratios = {f"{name}: largest / smallest": rows[-1][name] / rows[0][name] for name in list(rows[0])[1:]}
    notes = (
        f"{options.shards} hashes in one embedded server, with its append-only file; commits of {COMMIT_WORDS:,} known "
        f"words, {REPEATS} at each size; {LOOKUPS - WARMUP:,} look-ups."
    )
    report.write("words", "Distinct words in Redis", ratios, rows, notes)


if __name__ == "__main__":
    main()
