"""One commit of statistics to Redis beside a bare Lua HINCRBY of the same tf and df.

    python -m bench.redis.commit

The bare script has no positions, no histogram, no ranking, no checks: two HINCRBY a word, packed arguments, the same
chunks. Also: how long one chunk keeps a reader waiting.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable
from typing import Any

import msgpack
import numpy as np
import pyarrow as pa
from redis import Redis

from bench import report
from bench.corpus import HOME
from sinks.keys import Keys, build_prefix
from sinks.statistics.store import Statistics
from sinks.statistics.sums import SourceCount, Sums
from wetstream.pipeline.connections import open_redis
from wetstream.servers import embedded

BARE = """
local words, tfs, dfs = cmsgpack.unpack(ARGV[1]), cmsgpack.unpack(ARGV[2]), cmsgpack.unpack(ARGV[3])
for i = 1, #words do
  redis.call('HINCRBY', KEYS[1], words[i], tfs[i])
  redis.call('HINCRBY', KEYS[2], words[i], dfs[i])
end
"""
CHUNK_WORDS = 2_000  # the default of redis.chunk_words
REPEATS = 5


def micro_batch(words: int, seed: int) -> Sums:
    """Words with Zipf-like frequencies, and the counts of one source."""
    rng = np.random.default_rng(seed)
    df = np.minimum(rng.zipf(1.6, words), 20_000).astype(np.int64)
    table = pa.table({"word": pa.array([b"word%08d" % i for i in range(words)]), "tf": df * 3, "df": df})
    sums = Sums(words=table)
    sums.lengths.update({n: 1 + n % 7 for n in range(3_000)})
    sums.add_source("source", "", SourceCount(24_000, int(df.sum() * 3), 1 << 28))
    return sums


def bare(client: Redis, sums: Sums) -> None:
    script = client.register_script(BARE)
    for begin in range(0, sums.words.num_rows, CHUNK_WORDS):
        part = sums.words.slice(begin, CHUNK_WORDS)
        arguments = [msgpack.packb(part[name].to_pylist(), use_bin_type=False) for name in ("word", "tf", "df")]
        script(keys=["bare:tf", "bare:df"], args=arguments)


def longest_wait(url: str, work: Callable[[], None]) -> float:
    """Seconds that a reader had to wait at most while `work` runs."""
    stop, waits = threading.Event(), [0.0]

    def read() -> None:
        with Redis.from_url(url.get_secret_value()) as reader:
            while not stop.is_set():
                began = time.perf_counter()
                reader.get("anything")
                waits.append(time.perf_counter() - began)

    thread = threading.Thread(target=read)
    thread.start()
    work()
    stop.set()
    thread.join()
    return max(waits)


def measure(client: Redis, url: str, sums: Sums) -> dict[str, float]:
    """Median seconds of both, into empty keys, in turn; and a reader's longest wait during a second commit."""
    mine: list[float] = []
    plain: list[float] = []
    target = Statistics(client, Keys(build_prefix("bench", "g1", 1)), chunk_words=CHUNK_WORDS, top_words=10_000)
    for _ in range(REPEATS):
        client.flushdb()
        plain.append(seconds(lambda: bare(client, sums)))
        mine.append(seconds(lambda: target.commit(sums, {}, {"t/0": 1})))
    wait = longest_wait(url, lambda: target.commit(sums, {"t/0": 1}, {"t/0": 2}))
    return {
        "commit s": statistics.median(mine),
        "bare s": statistics.median(plain),
        "longest wait of a reader s": wait,
    }


def seconds(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    endpoints = embedded.up(HOME / "servers", kafka=False)
    assert endpoints.redis_url is not None and endpoints.redis_servers is not None
    client = open_redis(endpoints.redis_servers, "bench")
    rows: list[dict[str, Any]] = []
    ratios: dict[str, float] = {}
    try:
        for words in (10_000, 300_000):
            row = measure(client, endpoints.redis_url, micro_batch(words, 1))
            ratios[f"commit of {words:,} words / bare HINCRBY"] = row["commit s"] / row["bare s"]
            rows.append({"words": words, **row})
    finally:
        embedded.down(HOME / "servers")
    report.write(
        "redis_commit", "A commit of statistics to Redis", ratios, rows, f"Median of {REPEATS}, into empty keys."
    )


if __name__ == "__main__":
    main()
