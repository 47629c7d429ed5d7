"""Words spread over shards: each is applied by transactions of its own, before the build itself is.

A shard holds its own position and half-applied micro-batch, and takes its words by the protocol of a build without
shards (`StatisticsCommit`), so each counts a micro-batch once. The build itself comes last: its `commit` names the
micro-batch before the first shard is written, and its position moves once every shard has it. A commit that was
interrupted finds each shard at the start, half way, or at the end, and goes on from there.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Any, cast
from zlib import crc32

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from redis import Redis

from sinks.keys import Keys
from sinks.redis_clients.shards import client_of
from sinks.statistics.chunk import DfHistogramDelta
from sinks.statistics.errors import NotInStepError, StatisticsError
from sinks.statistics.resp import packed
from sinks.statistics.stored import parse_counts, parse_word_counts
from sinks.statistics.transactions import TransactionPipeline

# Of words ranked in a shard beyond twice its share: chance alone never needs them.
SPARE_CANDIDATES = 200
READ_WORDS = 2_000


def shard_of(word: bytes, shards: int) -> int:
    """Number of the shard that holds a word."""
    return crc32(word) % shards


def keys_of(keys: Keys, words: Sequence[bytes]) -> dict[Keys, list[int]]:
    """Return the keys that hold these words, each with the indices of its words."""
    shards = keys.shards
    if not shards:
        return {keys: list(range(len(words)))}
    found: dict[Keys, list[int]] = {}
    for index, word in enumerate(words):
        found.setdefault(shards[shard_of(word, len(shards))], []).append(index)
    return found


def split_words(words: pa.Table, shards: int) -> list[pa.Table]:
    """Split a table of words, tf and df by shard; each part keeps the order."""
    numbers = np.fromiter((crc32(word) for word in words["word"].to_pylist()), np.uint32, words.num_rows) % shards
    return [words.take(pa.array(np.flatnonzero(numbers == number))) for number in range(shards)]


def candidates_of(top_words: int, shards: int) -> int:
    """How many words a shard keeps ranked, for `top_words` in all."""
    return min(top_words, 2 * top_words // shards + SPARE_CANDIDATES)


def announce(keys: Keys, pipeline: TransactionPipeline, start: str, finish: str) -> bool:
    """Name the micro-batch in `commit` of a build, before the first shard is written.

    Args:
        keys: Keys of the build.
        pipeline: Transactions on its server.
        start: Position at which the micro-batch starts, canonical.
        finish: Position at which it ends, canonical.

    Returns:
        False if the build is at `finish` already, so that nothing is left to do.

    Raises:
        NotInStepError: The build is elsewhere.
        StatisticsError: Something else writes to its keys.
    """
    watched = [keys.position, keys.commit]
    pipeline.send_watch(watched, packed("GET", keys.position), packed("HGET", keys.commit, "finish"))
    position, half = ((reply or b"").decode(errors="replace") for reply in pipeline.receive_watch(2))
    if position == finish:
        return False
    if position != start or half not in ("", finish):
        raise NotInStepError(f"Redis is at {half or position or 'the beginning'}, not at {start or 'the beginning'}")
    if not pipeline.receive_exec(pipeline.send_exec(packed("HSET", keys.commit, "finish", finish))):
        raise StatisticsError(f"something else writes to the Redis keys {keys.prefix}…")
    return True


def out_of_step(client: Redis, keys: Keys, position: str, half: str) -> bool:
    """Whether a shard is neither where its build is nor on the way to the end of the half-applied micro-batch.

    Args:
        client: Redis.
        keys: Keys of the build.
        position: Its position, canonical.
        half: End of the micro-batch that it has half applied, canonical; "" for none.
    """
    for shard in keys.shards:
        with client_of(client, shard).pipeline(transaction=True) as pipe:
            pipe.get(shard.position)
            pipe.hget(shard.commit, "finish")
            at, finish = ((reply or b"").decode(errors="replace") for reply in pipe.execute())
        if (at, finish) not in ((position, ""), *(((position, half), (half, "")) if half else ())):
            return True
    return False


def histogram_delta(client: Redis, keys: Keys) -> DfHistogramDelta:
    """What the build's histogram of document frequencies lacks to the sum of its shards'."""
    total: dict[int, list[int]] = {}
    for sign, part in ((-1, keys), *((1, shard) for shard in keys.shards)):
        with client_of(client, part).pipeline(transaction=True) as pipe:
            pipe.hgetall(part.df_words)
            pipe.hgetall(part.df_tokens)
            replies = cast("list[dict[bytes, bytes]]", pipe.execute())
        for column, (key, counts) in enumerate(zip((part.df_words, part.df_tokens), replies, strict=True)):
            for df, n in parse_counts(key, counts).items():
                total.setdefault(int(df), [0, 0])[column] += sign * n
    return DfHistogramDelta.of(np.array([(df, *n) for df, n in total.items()], np.int64).reshape(-1, 3))


def ranking(client: Redis, keys: Keys, top_words: int) -> list[bytes]:
    """Return the commands that replace `top`, and the copies of its words, by the most frequent words of all shards.

    Words that a shard does not rank come after its last ranked one, so the ranking ends where the first shard's does.
    """
    found: list[tuple[int, bytes, bytes]] = []
    bound: tuple[int, bytes] | None = None
    candidates = candidates_of(top_words, len(keys.shards))
    for shard in keys.shards:
        mine = _ranked(client_of(client, shard), shard, candidates)
        found += mine
        if len(mine) >= candidates:
            bound = min(mine[-1][:2], bound or mine[-1][:2])
    ranked = heapq.nsmallest(top_words, (entry for entry in found if bound is None or entry[:2] <= bound))
    commands = [packed("DEL", keys.top, keys.words)]
    for first in range(0, len(ranked), READ_WORDS):
        part = ranked[first : first + READ_WORDS]
        commands.append(packed("ZADD", keys.top, *(value for score, word, _ in part for value in (score, word))))
        commands.append(packed("HSET", keys.words, *(value for _, word, entry in part for value in (word, entry))))
    return commands


def _ranked(client: Redis, shard: Keys, candidates: int) -> list[tuple[int, bytes, bytes]]:
    """(-tf, word, entry) of the words that a shard keeps ranked, in order."""
    words = cast("list[bytes]", client.zrange(shard.top, 0, candidates - 1))
    entries: list[bytes | None] = []
    for first in range(0, len(words), READ_WORDS):
        entries += cast("list[bytes | None]", client.hmget(shard.words, cast("Any", words[first : first + READ_WORDS])))
    held = [(word, entry) for word, entry in zip(words, entries, strict=True) if entry is not None]
    tf: NDArray[np.int64] = parse_word_counts(shard.words, [entry for _, entry in held])[:, 0]
    return [(-n, word, entry) for n, (word, entry) in zip(tf.tolist(), held, strict=True)]
