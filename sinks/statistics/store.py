"""The statistics sink: adds the counts of a set of documents to Redis exactly once, whatever is killed and when.

Redis holds the position of the documents table that it has counted up to, written in the same transaction as the last
counts. A micro-batch is added only if the stored position is its start; if it is already its end, nothing is done. A
large micro-batch is split, in bytewise order of its words, into several transactions, and Redis stores the last word
that was applied. A transaction watches what it reads: if anything else has written in between, it does nothing and is
built again from the new state.
"""

from __future__ import annotations

import heapq
from typing import cast

import numpy as np
from redis import Redis
from redis.exceptions import OutOfMemoryError

from conf.crash_points import crash_point
from sinks.keys import STATISTICS, Keys
from sinks.position import Position
from sinks.statistics.commit import StatisticsCommit
from sinks.statistics.errors import MemoryFullError
from sinks.statistics.memory import MemoryGuard
from sinks.statistics.stored import check_types, parse_position, parse_word_counts
from sinks.statistics.sums import Sums
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
        limits = {"chunk_words": self._chunk_words, "top_words": self._top_words}
        while True:
            commit = StatisticsCommit(self.keys, sums, start, finish, **limits, guard=self._guard)
            try:
                with transaction_pipeline(self._client) as pipeline:
                    commit.run(pipeline)
                break
            except OutOfMemoryError:
                self._guard.wait(MemoryFullError("is at its maxmemory"))
            except MemoryFullError as error:
                self._guard.wait(error)
        crash_point("after-redis-commit")

    def rerank(self) -> None:
        """Rank the most frequent words again from all words, if a removal has made that necessary.

        Only the writer may call this, since words must not change meanwhile. Readers see the old ranking until the new
        one is complete.
        """
        if self._client.hget(self.keys.as_of, "ranks") is None:
            return
        ranked = self._most_frequent()
        fresh = self.keys.fresh_top
        self._client.delete(fresh)
        for first in range(0, len(ranked), 5_000):
            self._client.zadd(fresh, {word: score for score, word in ranked[first : first + 5_000]})
        crash_point("before-ranks-switch")
        with self._client.pipeline(transaction=True) as pipe:
            if ranked:
                pipe.rename(fresh, self.keys.top)
            else:
                pipe.delete(self.keys.top)
            pipe.hdel(self.keys.as_of, "ranks")
            pipe.execute()

    def check_types(self) -> None:
        """Check the type of every key.

        Raises:
            CorruptStatisticsError: A key is of another type.
        """
        check_types(self._client, types_of(self.keys))

    def _most_frequent(self) -> list[tuple[int, bytes]]:
        """(-tf, word) of the most frequent words, sorted."""
        found: set[tuple[int, bytes]] = set()  # HSCAN may return a word twice
        least_tf = cursor = 0
        while True:
            answer = self._client.hscan(self.keys.words, cursor, count=10_000)
            cursor, entries = cast("tuple[int, dict[bytes, bytes]]", answer)
            tf, words = parse_word_counts(self.keys.words, list(entries.values()))[:, 0], list(entries)
            for number in np.flatnonzero(tf >= least_tf):
                found.add((-int(tf[number]), words[number]))
            if not cursor or len(found) > 4 * self._top_words + SPARE_RANKED:
                ranked = heapq.nsmallest(self._top_words, found)
                if not cursor:
                    return ranked
                found, least_tf = set(ranked), -ranked[-1][0]
