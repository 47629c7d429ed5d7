"""One commit of a micro-batch to Redis: its words in chunks, each a transaction, then all else and the position."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.compute as pc

from conf.crash_points import crash_point
from conf.errors import ExplainedError
from sinks.keys import Keys
from sinks.position import Position, canonical
from sinks.statistics.chunk import Chunk, DfHistogramDelta, TopCutoff
from sinks.statistics.resp import packed, packed_column, packed_rows
from sinks.statistics.sums import KEPT, PageCounts, Sums
from sinks.statistics.transactions import TransactionPipeline

# Nobody else writes these keys, but for a writer that has lost its lease and does not know it yet.
MAX_COLLISIONS = 10
LOOKS = 3  # at the position, at what is half applied, at the last ranked word


class StatisticsError(ExplainedError):
    """Redis holds something that cannot be ours, or stands elsewhere; the message says what and the remedy."""


class NotInStepError(StatisticsError):
    """Redis is not at the start of this micro-batch: it has to be healed from the documents table."""


@dataclass(frozen=True, slots=True)
class _Found:
    """What stands in Redis: its position; of a micro-batch that is half applied its end ("" for none) and its last
    word; for each chunk of words that was asked for, what stands for them.
    """

    position: str
    finish: str
    last: bytes
    cutoff: TopCutoff
    entries: list[list[bytes | None]]


class StatisticsCommit:
    """Adds `sums`, those of the documents between two positions, to the statistics below `keys`."""

    def __init__(
        self, keys: Keys, sums: Sums, start: Position, finish: Position, *, chunk_words: int, top_words: int
    ) -> None:
        self._keys = keys
        self._sums = sums
        self._start, self._finish = canonical(start), canonical(finish)
        self._chunk_words, self._top_words = chunk_words, top_words
        self._words = sums.words["word"].combine_chunks()
        self._packed_words = packed_column(self._words)
        self._tf, self._df = sums.words["tf"].to_numpy(), sums.words["df"].to_numpy()
        # Where the next chunk begins, and the word before it; what the words up to that have moved; what stands for the
        # next words, where that has been read; the last ranked word, as it was when last looked at.
        self._begin, self._after = 0, b""
        self._moved: list[DfHistogramDelta] = []
        self._entries: list[bytes | None] | None = None
        self._cutoff = TopCutoff()
        self._unanswered: int | None = None  # the number of commands of the write that is under way
        self._collisions = 0

    def run(self, pipeline: TransactionPipeline) -> None:
        """Commit, from wherever Redis stands in it. Raises NotInStepError, StatisticsError, RedisError."""
        while not self.step(pipeline):
            pass

    def step(self, pipeline: TransactionPipeline) -> bool:
        """One chunk; returns whether all is done."""
        chunk, following = self._chunk(self._begin), self._chunk(self._begin + self._chunk_words)
        # At the beginning nothing stands anywhere.
        is_known = not self._start or self._entries is not None
        unread = [
            part for part in ((following,) if is_known else (chunk, following)) if self._start and len(part.words)
        ]
        pipeline.send_watch(self._keys.all(), *self._looks(), *(self._lookup(part) for part in unread))
        # Made while Redis is still at the chunk before. That one may rank more words than were known here; then some
        # are ranked only to fall out again.
        ready = chunk.commands(self._entries, self._cutoff, self._keys, self._top_words) if is_known else None
        self._fetch_written(pipeline)
        found = _found(pipeline.receive_watch(LOOKS + len(unread)))
        self._cutoff = found.cutoff
        if found.position == self._finish:
            return True
        if found.position != self._start or found.finish not in ("", self._finish):
            stands = found.finish or found.position or "the beginning"
            raise NotInStepError(f"Redis stands at {stands}, not at {self._start or 'the beginning'}")
        if found.last != self._after:
            self._resume(pipeline)
            return False
        crash_point("redis-chunk-read")
        if ready is None:
            entries = found.entries[0] if len(chunk.words) else []
            ready = chunk.commands(entries, found.cutoff, self._keys, self._top_words)
        # Nobody can change these before they are added to, without moving what the next look sees: the position, or
        # the last word of the micro-batch that is half applied. Till the write below, they are watched as well.
        self._entries = found.entries[-1] if self._start and len(following.words) else None
        commands, moves = ready
        if not len(following.words):
            whole = DfHistogramDelta.of(np.concatenate([moved.rows for moved in (*self._moved, moves)]))
            self._unanswered = pipeline.send_exec(*commands, *self._final(pipeline, whole))
            return self._fetch_written(pipeline)
        self._after = chunk.words[-1].as_py()
        # A field for each chunk: in one, what all have moved would be read and written again and again.
        so_far = ("finish", self._finish, "last", self._after, f"moves {self._begin}", moves.to_bytes())
        self._unanswered = pipeline.send_exec(*commands, packed("HSET", self._keys.commit, *so_far))
        self._begin += len(chunk.words)
        self._moved.append(moves)
        return False

    def _resume(self, pipeline: TransactionPipeline) -> None:
        """Go on where a try before this one was cut off, or its answer lost."""
        (held,) = pipeline.read(packed("HGETALL", self._keys.commit))
        if not isinstance(held, dict):  # as RESP 2 has it
            held = dict(zip(held[::2], held[1::2], strict=True))
        self._after = held.get(b"last", b"")
        self._begin = pc.sum(pc.less_equal(self._words, self._after)).as_py() or 0
        moves = [value for field, value in held.items() if field.startswith(b"moves ")]
        self._moved = [DfHistogramDelta.from_bytes(value) for value in moves]
        self._entries = None

    def _chunk(self, begin: int) -> Chunk:
        part = slice(begin, begin + self._chunk_words)
        return Chunk(self._words[part], self._packed_words[part], self._tf[part], self._df[part])

    def _looks(self) -> list[bytes]:
        return [
            packed("GET", self._keys.position),
            packed("HMGET", self._keys.commit, "finish", "last"),
            packed("ZRANGE", self._keys.top, self._top_words - 1, self._top_words - 1, "WITHSCORES"),
        ]

    def _lookup(self, chunk: Chunk) -> bytes:
        return packed_rows(["HMGET", self._keys.words], chunk.packed, 1)

    def _fetch_written(self, pipeline: TransactionPipeline) -> bool:
        """Whether the write that is under way was done; True if there is none. What to do else, the next look says."""
        unanswered, self._unanswered = self._unanswered, None
        if unanswered is None:
            return True
        if pipeline.receive_exec(unanswered):
            crash_point("redis-chunk")
            return True
        self._collisions += 1
        if self._collisions > MAX_COLLISIONS:
            raise StatisticsError(
                f"something else keeps writing to the keys {self._keys.prefix}…: end it, or give wetstream a Redis "
                "database of its own (redis.url)"
            )
        return False

    def _final(self, pipeline: TransactionPipeline, moves: DfHistogramDelta) -> list[bytes]:
        """The last commands of a micro-batch: everything but its words, and its position."""
        amounts = _counts(self._sums)
        amounts["totals"]["words"] = moves.words
        amounts["df_words"], amounts["df_tokens"] = moves.by_df()
        by_key = {getattr(self._keys, name): {f: n for f, n in by.items() if n} for name, by in amounts.items()}
        by_key = {key: by for key, by in by_key.items() if by}
        standing = pipeline.read(*(packed("HMGET", key, *by) for key, by in by_key.items()))
        commands: list[bytes] = []
        for (key, by), old in zip(by_key.items(), standing, strict=True):
            commands += _added(key, by, old)
        # Words that others now overtake have left `top`, which has to be ranked anew.
        stale = ["ranks", "stale"] if self._sums.totals()["records"] < 0 else []
        return [
            *commands,
            packed("SET", self._keys.position, self._finish),
            packed("HSET", self._keys.as_of, "time", repr(time.time()), *stale),
            packed("DEL", self._keys.commit),
        ]


def _found(answers: Sequence[Any]) -> _Found:
    position, (finish, last), ranked, *entries = answers
    if ranked and isinstance(ranked[0], list):  # RESP 3 nests the pairs
        ranked = ranked[0]
    return _Found(
        position=(position or b"").decode(),
        finish=(finish or b"").decode(),
        last=last or b"",
        cutoff=TopCutoff(ranked[0], -int(float(ranked[1]))) if ranked else TopCutoff(),
        entries=entries,
    )


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


def _seen(by: Mapping[str, PageCounts]) -> dict[str, int]:
    return {f"{name}\t{key}": getattr(seen, name) for key, seen in by.items() for name in PageCounts._fields}


def _added(key: str, amounts: Mapping[str, int], old: Sequence[bytes | None]) -> Iterator[bytes]:
    """The commands that add to fields of a hash in which `old` stands; a field that becomes 0 is removed."""
    new = {field: int(before or 0) + amount for (field, amount), before in zip(amounts.items(), old, strict=True)}
    if kept := [part for field, n in new.items() if n for part in (field, n)]:
        yield packed("HSET", key, *kept)
    if gone := [field for field, n in new.items() if not n]:
        yield packed("HDEL", key, *gone)
