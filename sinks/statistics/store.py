"""The statistics sink: adds the counts of a set of documents to Redis exactly once, whatever is killed and when.

Redis holds the position of the documents table that it has counted up to, written in the same transaction as the last
counts. A micro-batch is added only if the stored position is its start; if it is already its end, nothing is done. A
large micro-batch is split, in bytewise order of its words, into several transactions, and Redis stores the last word
that was applied. A transaction watches what it reads: if anything else has written in between, it does nothing and is
built again from the new state.
"""

from __future__ import annotations

import heapq
from dataclasses import replace
from typing import cast

import numpy as np
from redis import Redis
from redis.exceptions import OutOfMemoryError

from conf.crash_points import crash_point
from sinks.keys import STATISTICS, Keys
from sinks.position import Position, canonical
from sinks.redis_clients.shards import client_of
from sinks.statistics.chunk import DfHistogramDelta
from sinks.statistics.commit import ShardedPart, StatisticsCommit
from sinks.statistics.errors import MemoryFullError
from sinks.statistics.memory import MemoryGuard
from sinks.statistics.resp import packed
from sinks.statistics.shards import announce, candidates_of, histogram_delta, out_of_step, ranking, split_words
from sinks.statistics.stored import check_types, parse_position, parse_word_counts
from sinks.statistics.sums import Sums, empty_words
from sinks.statistics.transactions import transaction_pipeline

TYPES = {"top": "zset", "position": "string"}  # all others are hashes
SPARE_RANKED = 100_000  # candidates kept, beyond four times the ranking's size, before the least frequent are dropped


def types_of(keys: Keys) -> dict[str, str]:
    """Redis types of the keys of a build, by key."""
    return {getattr(keys, name): TYPES.get(name, "hash") for name in STATISTICS}


class Statistics:
    """Writes one build of the statistics."""

    def __init__(
        self, client: Redis, keys: Keys, *, chunk_words: int, top_words: int, guard: MemoryGuard | None = None
    ) -> None:
        self._client = client
        self.keys = keys
        self._chunk_words = chunk_words
        self._top_words = top_words
        self._guard = guard or MemoryGuard()

    def position(self) -> dict[str, int]:
        """Return the position of the documents table that is counted; empty if nothing is.

        Raises:
            CorruptStatisticsError: Redis holds something else.
        """
        return parse_position(self.keys.position, cast("bytes | None", self._client.get(self.keys.position)))

    def half_applied(self) -> dict[str, int] | None:
        """Return the end position of a micro-batch that a crash left half applied, if there is one.

        Raises:
            CorruptStatisticsError: Redis holds something else.
        """
        finish = cast("bytes | None", self._client.hget(self.keys.commit, "finish"))
        return None if finish is None else parse_position(self.keys.commit, finish)

    def commit(self, sums: Sums, start: Position, finish: Position) -> None:
        """Add the sums of the documents between two positions.

        Committing twice changes nothing; a commit that was interrupted continues behind its last applied word. Where
        Redis has no room it waits, or fails, as its guard says.

        Raises:
            NotInStepError: Redis is at another position.
            CorruptStatisticsError: A key is of another type, or holds a malformed value.
            MemoryFullError: Redis has no room for the next words.
            StatisticsError: Something else keeps writing to the keys, or Redis would evict.
            RedisError: Redis is away, or refused a command.
        """
        crash_point("before-redis-commit")
        self.check_types()
        while True:
            try:
                if self.keys.shards:
                    self._commit_shards(sums, start, finish)
                else:
                    self._commit(self.keys, sums, start, finish, self._top_words)
                break
            except OutOfMemoryError:
                self._guard.wait(MemoryFullError("is at its maxmemory"))
            except MemoryFullError as error:
                self._guard.wait(error)
        crash_point("after-redis-commit")

    def _commit_shards(self, sums: Sums, start: Position, finish: Position) -> None:
        """Commit the words to their shards, then all else to the build itself."""
        with transaction_pipeline(self._client) as pipeline:
            if not announce(self.keys, pipeline, canonical(start), canonical(finish)):
                return
        shards = self.keys.shards
        is_removal = sums.takes_out
        candidates = candidates_of(self._top_words, len(shards))
        moved: list[DfHistogramDelta | None] = []
        for shard, words in zip(shards, split_words(sums.words, len(shards)), strict=True):
            moved.append(self._commit(shard, Sums(words=words), start, finish, candidates, ShardedPart(is_removal)))
            crash_point("redis-shard")
        deltas = [delta for delta in moved if delta is not None]
        if len(deltas) < len(shards):  # an earlier attempt has applied some of them
            deltas = [histogram_delta(self._client, self.keys)]
        behind = ShardedPart(is_removal, deltas, ranking(self._client, self.keys, self._top_words))
        self._commit(self.keys, replace(sums, words=empty_words()), start, finish, self._top_words, behind)

    def _commit(
        self, keys: Keys, sums: Sums, start: Position, finish: Position, top_words: int, part: ShardedPart | None = None
    ) -> DfHistogramDelta | None:
        limits = {"chunk_words": self._chunk_words, "top_words": top_words}
        commit = StatisticsCommit(keys, sums, start, finish, **limits, guard=self._guard, shards=part)
        with transaction_pipeline(client_of(self._client, keys)) as pipeline:
            commit.run(pipeline)
        return commit.moved

    def out_of_step(self) -> bool:
        """Whether a shard lacks, or has, words of micro-batches that the build has, or lacks."""
        return out_of_step(self._client, self.keys, canonical(self.position()), canonical(self.half_applied() or {}))

    def rerank(self) -> None:
        """Rank the most frequent words again from all words, if a removal has made that necessary.

        Only the writer may call this, since words must not change meanwhile. Readers see the old ranking until the new
        one is complete.
        """
        if self._client.hget(self.keys.as_of, "ranks") is None:
            return
        parts = self.keys.shards
        kept = candidates_of(self._top_words, len(parts)) if parts else self._top_words
        for part in parts or [self.keys]:
            self._rank(part, kept)
        replaced = ranking(self._client, self.keys, self._top_words) if parts else []
        with transaction_pipeline(self._client) as pipeline:
            pipeline.receive_exec(pipeline.send_exec(*replaced, packed("HDEL", self.keys.as_of, "ranks")))

    def _rank(self, keys: Keys, top_words: int) -> None:
        """Replace the ranking of a build or shard by that of all of its words."""
        client = client_of(self._client, keys)
        ranked = self._most_frequent(client, keys, top_words)
        fresh = keys.fresh_top
        client.delete(fresh)
        for first in range(0, len(ranked), 5_000):
            client.zadd(fresh, {word: score for score, word in ranked[first : first + 5_000]})
        crash_point("before-ranks-switch")
        if ranked:
            client.rename(fresh, keys.top)
        else:
            client.delete(keys.top)

    def check_types(self) -> None:
        """Check the type of every key.

        Raises:
            CorruptStatisticsError: A key is of another type.
        """
        for keys in (self.keys, *self.keys.shards):
            check_types(client_of(self._client, keys), types_of(keys))

    def _most_frequent(self, client: Redis, keys: Keys, top_words: int) -> list[tuple[int, bytes]]:
        """(-tf, word) of the most frequent words, sorted."""
        found: set[tuple[int, bytes]] = set()  # HSCAN may return a word twice
        least_tf = cursor = 0
        while True:
            answer = client.hscan(keys.words, cursor, count=10_000)
            cursor, entries = cast("tuple[int, dict[bytes, bytes]]", answer)
            tf, words = parse_word_counts(keys.words, list(entries.values()))[:, 0], list(entries)
            for number in np.flatnonzero(tf >= least_tf):
                found.add((-int(tf[number]), words[number]))
            if not cursor or len(found) > 4 * top_words + SPARE_RANKED:
                ranked = heapq.nsmallest(top_words, found)
                if not cursor:
                    return ranked
                found, least_tf = set(ranked), -ranked[-1][0]
