"""The statistics sink: what a set of documents adds goes into Redis once, whatever is killed and whenever.

Why that holds: Redis holds the position of the documents table that it has counted up to, written by the same
transaction as the last counts. A micro-batch applies only where the stored position is its start; where it is already
its end, nothing is done. A large micro-batch is cut, in bytewise order of its words, into several transactions, and
Redis remembers the word that it has come to. What a transaction reads, it watches: if anyone has written in between, it
does nothing and is made anew from what is there then.
"""

from __future__ import annotations

import heapq
import json
from typing import cast

import numpy as np
from redis import Redis

from conf.crash_points import crash_point
from sinks.keys import STATISTICS, Keys
from sinks.position import Position
from sinks.statistics.commit import StatisticsCommit, StatisticsError
from sinks.statistics.sums import Sums
from sinks.statistics.transactions import transaction_pipeline
from sinks.statistics.word_counts import read_counts

SPARE_RANKED = 100_000  # words looked at, when ranked anew, before the least frequent of them are dropped


class Statistics:
    """The keys of one build of statistics, for writing."""

    def __init__(self, client: Redis, keys: Keys, *, chunk_words: int, top_words: int) -> None:
        self._client = client
        self.keys = keys
        self._chunk_words = chunk_words
        self._top_words = top_words

    def position(self) -> dict[str, int]:
        """How far the documents table is counted; empty when nothing is."""
        stored = cast("bytes | None", self._client.get(self.keys.position))
        return json.loads(stored) if stored else {}

    def half_applied(self) -> dict[str, int] | None:
        """The end of the micro-batch that a crash left half applied, if there is one."""
        finish = cast("bytes | None", self._client.hget(self.keys.commit, "finish"))
        return None if finish is None else json.loads(finish)

    def commit(self, sums: Sums, start: Position, finish: Position) -> None:
        """Add `sums`, those of the documents between the positions `start` and `finish`.

        Doing it twice changes nothing; one that was cut off is carried on behind its last word that is counted.
        Raises NotInStepError when Redis stands elsewhere, StatisticsError when a key is of another type.
        """
        crash_point("before-redis-commit")
        self._check_types()
        limits = {"chunk_words": self._chunk_words, "top_words": self._top_words}
        commit = StatisticsCommit(self.keys, sums, start, finish, **limits)
        with transaction_pipeline(self._client) as pipeline:
            commit.run(pipeline)
        crash_point("after-redis-commit")

    def rerank(self) -> None:
        """Rank the most frequent words anew from all words, if a removal has made that necessary.

        By the writer only: nobody else changes words meanwhile. Readers see the old ranks until the new ones are whole.
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

    def _most_frequent(self) -> list[tuple[int, bytes]]:
        """-tf and word of the most frequent words, in this order."""
        found: set[tuple[int, bytes]] = set()  # HSCAN may tell a word twice
        least_tf = cursor = 0
        while True:
            answer = self._client.hscan(self.keys.words, cursor, count=10_000)
            cursor, entries = cast("tuple[int, dict[bytes, bytes]]", answer)
            tf, words = read_counts(list(entries.values()))[:, 0], list(entries)
            # Of most words a look at the column is all.
            for number in np.flatnonzero(tf >= least_tf):
                found.add((-int(tf[number]), words[number]))
            if not cursor or len(found) > 4 * self._top_words + SPARE_RANKED:
                ranked = heapq.nsmallest(self._top_words, found)
                if not cursor:
                    return ranked
                found, least_tf = set(ranked), -ranked[-1][0]

    def _check_types(self) -> None:
        with self._client.pipeline(transaction=False) as pipe:
            for key in self.keys.all():
                pipe.type(key)
            kinds = [kind.decode() for kind in pipe.execute()]
        for name, found in zip(STATISTICS, kinds, strict=True):
            wanted = {"top": "zset", "position": "string"}.get(name, "hash")
            if found not in ("none", wanted):
                raise StatisticsError(
                    f"Redis key {getattr(self.keys, name)} is a {found}, not a {wanted}: something else writes to this "
                    "database; give wetstream a database of its own (redis.url), or delete the key and run "
                    "`wetstream rebuild`"
                )
