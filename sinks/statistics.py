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
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import pyarrow.compute as pc
from redis import Redis

from conf.crash_points import crash_point
from conf.errors import ExplainedError
from sinks.chunk import Chunk, Moves, Ranked
from sinks.keys import STATISTICS, Keys
from sinks.sums import KEPT, Seen, Sums
from sinks.transaction import Transaction, packed, packed_column, packed_rows, transactions

Position = Mapping[str, int]
NOWHERE: Position = {}
# Nobody else writes these keys, but for a writer that has lost its lease and does not know it yet.
MAX_COLLISIONS = 10


class StatisticsError(ExplainedError):
    """Redis holds something that cannot be ours, or stands elsewhere; the message says what and the remedy."""


class NotInStepError(StatisticsError):
    """Redis is not at the start of this micro-batch: it has to be healed from the documents table."""


def canonical(position: Position) -> str:
    """A position as JSON that is equal for equal positions; no entry means 0."""
    if not any(position.values()):
        return ""
    return json.dumps({key: value for key, value in sorted(position.items()) if value}, separators=(",", ":"))


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
        words = sums.words["word"].combine_chunks()
        packed_words = packed_column(words)
        tf, df = sums.words["tf"].to_numpy(), sums.words["df"].to_numpy()
        begin, after, collisions = 0, b"", 0
        with transactions(self._client) as transaction:
            while True:
                part = slice(begin, begin + self._chunk_words)
                chunk = Chunk(words[part], packed_words[part], tf[part], df[part])
                found = self._watch(transaction, chunk, are_new=not any(start.values()))
                if found.position == canonical(finish):
                    return
                if found.position != canonical(start) or found.finish not in ("", canonical(finish)):
                    stands = found.finish or found.position or "the beginning"
                    raise NotInStepError(f"Redis stands at {stands}, not at {canonical(start) or 'the beginning'}")
                if found.last != after:
                    # An earlier try was cut off, or its answer lost, when it had come this far.
                    begin, after = pc.sum(pc.less_equal(words, found.last)).as_py() or 0, found.last
                    continue
                crash_point("redis-chunk-read")
                commands, moved = chunk.commands(found.entries, found.last_ranked, self.keys, self._top_words)
                moves = found.moves.plus(moved)
                is_final = part.stop >= len(words)
                if is_final:
                    commands += self._final(transaction, sums, moves, finish)
                else:
                    after = chunk.words[-1].as_py()
                    so_far = ["finish", canonical(finish), "last", after, "moves", moves.to_bytes()]
                    commands.append(packed("HSET", self.keys.commit, *so_far))
                if transaction.write(*commands):
                    crash_point("redis-chunk")
                    if is_final:
                        break
                    begin = part.stop
                    continue
                collisions += 1
                if collisions > MAX_COLLISIONS:
                    raise StatisticsError(
                        f"something else keeps writing to the keys {self.keys.prefix}…: end it, or give wetstream a "
                        "Redis database of its own (redis.url)"
                    )
        crash_point("after-redis-commit")

    def rank_anew(self) -> None:
        """Rank the most frequent words anew from all words, if a removal has made that necessary.

        By the writer only: nobody else changes words meanwhile. Readers see the old ranks until the new ones are whole.
        """
        if self._client.hget(self.keys.as_of, "ranks") is None:
            return
        ranked: list[tuple[int, bytes]] = []
        for word, entry in self._client.hscan_iter(self.keys.words, count=10_000):
            ranked.append((-int(entry.split()[0]), word))
            if len(ranked) > 4 * self._top_words + 100_000:
                ranked = heapq.nsmallest(self._top_words, set(ranked))
        # HSCAN may tell a word twice.
        ranked = heapq.nsmallest(self._top_words, set(ranked))
        fresh = f"{self.keys.top}.fresh"
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

    def _watch(self, transaction: Transaction, chunk: Chunk, *, are_new: bool) -> _Found:
        """What stands in Redis where this chunk is to be added. `are_new`: no word has been counted before."""
        reads = [
            packed("GET", self.keys.position),
            packed("HMGET", self.keys.commit, "finish", "last", "moves"),
            packed("ZRANGE", self.keys.top, self._top_words - 1, self._top_words - 1, "WITHSCORES"),
        ]
        asks = len(chunk.words) > 0 and not are_new
        if asks:
            reads.append(packed_rows(["HMGET", self.keys.words], chunk.packed, 1))
        position, (finish, last, moves), ranked, *entries = transaction.watch(self.keys.all(), *reads)
        if ranked and isinstance(ranked[0], list):  # RESP 3 nests the pairs
            ranked = ranked[0]
        return _Found(
            position=(position or b"").decode(),
            finish=(finish or b"").decode(),
            last=last or b"",
            moves=Moves.from_bytes(moves or b""),
            last_ranked=Ranked(ranked[0], -int(float(ranked[1]))) if ranked else Ranked(),
            entries=entries[0] if asks else None,
        )

    def _final(self, transaction: Transaction, sums: Sums, moves: Moves, finish: Position) -> list[bytes]:
        """The last commands of a micro-batch: everything but its words, and its position."""
        amounts = _counts(sums)
        amounts["totals"]["words"] = moves.words
        amounts["df_words"], amounts["df_tokens"] = moves.by_df()
        by_key = {getattr(self.keys, name): {f: n for f, n in by.items() if n} for name, by in amounts.items()}
        by_key = {key: by for key, by in by_key.items() if by}
        standing = transaction.read(*(packed("HMGET", key, *by) for key, by in by_key.items()))
        commands: list[bytes] = []
        for (key, by), old in zip(by_key.items(), standing, strict=True):
            commands += _added(key, by, old)
        # Words that others now overtake have left `top`, which has to be ranked anew.
        stale = ["ranks", "stale"] if sums.totals()["records"] < 0 else []
        return [
            *commands,
            packed("SET", self.keys.position, canonical(finish)),
            packed("HSET", self.keys.as_of, "time", repr(time.time()), *stale),
            packed("DEL", self.keys.commit),
        ]


@dataclass(frozen=True, slots=True)
class _Found:
    """What stands in Redis: its position; of a micro-batch that is half applied its end ("" for none), its last word
    and what its words have moved so far; what the new words are added to."""

    position: str
    finish: str
    last: bytes
    moves: Moves
    last_ranked: Ranked
    entries: list[bytes | None] | None


def _counts(sums: Sums) -> dict[str, dict[str, int]]:
    """Everything but the words: by key's name and field, what is added."""
    sources: dict[str, int] = {}
    for (source, reason), count in sums.sources.items():
        field = f"rejected\t{reason}\t{source}" if reason != KEPT else f"documents\t{source}"
        sources[field] = sources.get(field, 0) + count.records
        for name in ("records", "tokens", "payload_bytes"):
            field = f"{name}\t{source}"
            sources[field] = sources.get(field, 0) + getattr(count, name)
    return {
        "totals": sums.totals(),
        "lengths": {str(length): documents for length, documents in sums.lengths.items()},
        "reasons": sums.reasons(),
        "sources": sources,
        "languages": _seen(sums.languages),
        "tlds": _seen(sums.tlds),
        "days": _seen(sums.days),
    }


def _seen(by: Mapping[str, Seen]) -> dict[str, int]:
    return {f"{name}\t{key}": getattr(seen, name) for key, seen in by.items() for name in Seen._fields}


def _added(key: str, amounts: Mapping[str, int], old: Sequence[bytes | None]) -> Iterator[bytes]:
    """The commands that add to fields of a hash in which `old` stands; a field that becomes 0 is removed."""
    new = {field: int(before or 0) + amount for (field, amount), before in zip(amounts.items(), old, strict=True)}
    if kept := [part for field, n in new.items() if n for part in (field, n)]:
        yield packed("HSET", key, *kept)
    if gone := [field for field, n in new.items() if not n]:
        yield packed("HDEL", key, *gone)
