"""The statistics sink: what a set of documents adds goes into Redis once, whatever is killed and whenever.

Why that holds: Redis holds the position of the documents table that it has counted up to, written by the same script
as the last counts. A micro-batch applies only where the stored position is its start; where it is already its end,
nothing is done. A large micro-batch is cut, in bytewise order of its words, into several atomic calls, and Redis
remembers the word that it has come to.
"""

from __future__ import annotations

import heapq
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import msgpack
import pyarrow as pa
from redis import Redis

from conf.crash_points import crash_point
from conf.errors import ExplainedError
from sinks.keys import STATISTICS, Keys
from sinks.lua import COMMIT
from sinks.sums import KEPT, Seen, Sums

Position = Mapping[str, int]
NOWHERE: Position = {}


class StatisticsError(ExplainedError):
    """Redis holds something that cannot be ours, or stands elsewhere; the message says what and the remedy."""


class NotInStepError(StatisticsError):
    """Redis is not at the start of this micro-batch: it has to be healed from the documents table."""


@dataclass(frozen=True, slots=True)
class HalfApplied:
    """A micro-batch of which some chunks are applied: its end, and the last word that is counted."""

    finish: dict[str, int]
    last_word: bytes


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
        self._script = client.register_script(COMMIT)

    def position(self) -> dict[str, int]:
        """How far the documents table is counted; empty when nothing is."""
        stored = cast("bytes | None", self._client.get(self.keys.position))
        return json.loads(stored) if stored else {}

    def half_applied(self) -> HalfApplied | None:
        """The micro-batch that a crash left half applied, if there is one."""
        finish, last = cast("list[Any]", self._client.hmget(self.keys.commit, ["finish", "last"]))
        return HalfApplied(json.loads(finish), bytes(last)) if finish is not None else None

    def commit(self, sums: Sums, start: Position, finish: Position, *, after: bytes = b"") -> None:
        """Add `sums`, those of the documents between the positions `start` and `finish`.

        `after`: words up to this one are counted already (what `half_applied` told). Doing it twice changes nothing.
        Raises NotInStepError when Redis stands elsewhere, StatisticsError when a key is of another type.
        """
        crash_point("before-redis-commit")
        for number, chunk in enumerate(self._chunks(sums, after)):
            reply = self._call(chunk, sums, start, finish)
            if reply[0] == b"done":
                return
            if reply[0] == b"half" and number == 0 and reply[1].decode() == canonical(finish):
                # The answer to an earlier try was lost, and it had come further than we know.
                self.commit(sums, start, finish, after=reply[2])
                return
            if reply[0] == b"type":
                key, found, wanted = (part.decode() for part in reply[1:4])
                raise StatisticsError(
                    f"Redis key {key} is a {found}, not a {wanted}: something else writes to this database; give "
                    "wetstream a database of its own (redis.url), or delete the key and run `wetstream rebuild`"
                )
            if reply[0] != b"applied":
                stands = reply[1].decode() or "the beginning"
                raise NotInStepError(f"Redis stands at {stands}, not at {canonical(start) or 'the beginning'}")
            crash_point("redis-chunk")
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

    def _call(self, chunk: _Chunk, sums: Sums, start: Position, finish: Position) -> list[bytes]:
        head = {
            "start": canonical(start),
            "finish": canonical(finish),
            "after": chunk.after,
            "last": chunk.last,
            "final": chunk.final,
            "top": self._top_words,
            "time": repr(time.time()),
            "less": sums.totals()["records"] < 0,
        }
        words = chunk.words
        arguments = [head, *(words[name].to_pylist() for name in ("word", "tf", "df"))]
        arguments.append(_counts(sums) if chunk.final else [])
        packed = [msgpack.packb(argument, use_bin_type=False) for argument in arguments]
        return self._script(keys=self.keys.all(), args=packed)

    def _chunks(self, sums: Sums, after: bytes) -> Iterator[_Chunk]:
        words = sums.words
        if after:
            words = words.filter(pa.compute.greater(words["word"], pa.scalar(after, pa.binary())))
        begin = 0
        while True:
            end = min(begin + self._chunk_words, words.num_rows)
            piece = words.slice(begin, end - begin)
            last = piece["word"][-1].as_py() if piece.num_rows else after
            yield _Chunk(piece, after, last, end == words.num_rows)
            if end == words.num_rows:
                return
            begin, after = end, last


@dataclass(frozen=True, slots=True)
class _Chunk:
    words: pa.Table
    after: bytes
    last: bytes
    final: bool


def _counts(sums: Sums) -> list[list[object]]:
    """Everything but the words, as the script takes it: a list a key, of fields and increments."""

    def group(name: str, by: Mapping[str, int]) -> list[object]:
        changed = {field: n for field, n in by.items() if n}
        return [STATISTICS.index(name) + 1, list(changed), list(changed.values())]

    sources: dict[str, int] = {}
    for (source, reason), count in sums.sources.items():
        field = f"rejected\t{reason}\t{source}" if reason != KEPT else f"documents\t{source}"
        sources[field] = sources.get(field, 0) + count.records
        for name in ("records", "tokens", "payload_bytes"):
            field = f"{name}\t{source}"
            sources[field] = sources.get(field, 0) + getattr(count, name)
    return [
        group("totals", sums.totals()),
        group("lengths", {str(length): documents for length, documents in sums.lengths.items()}),
        group("reasons", sums.reasons()),
        group("sources", sources),
        group("languages", _seen(sums.languages)),
        group("tlds", _seen(sums.tlds)),
        group("days", _seen(sums.days)),
    ]


def _seen(by: Mapping[str, Seen]) -> dict[str, int]:
    return {f"{name}\t{key}": getattr(seen, name) for key, seen in by.items() for name in Seen._fields}
