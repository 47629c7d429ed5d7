"""One commit of a micro-batch to Redis: its words in chunks, one transaction each, then all other counts."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.compute as pc

from conf.crash_points import crash_point
from sinks.keys import Keys
from sinks.position import Position, canonical
from sinks.statistics.chunk import Chunk, DfHistogramDelta, TopCutoff
from sinks.statistics.errors import CorruptStatisticsError, NotInStepError, StatisticsError
from sinks.statistics.memory import CHECK_WORDS, MemoryGuard
from sinks.statistics.resp import packed, packed_column, packed_rows
from sinks.statistics.stored import parse_int
from sinks.statistics.sums import KEPT, PageCounts, Sums
from sinks.statistics.transactions import TransactionPipeline

# Only a writer that has lost its lease without knowing it writes these keys, too.
MAX_COLLISIONS = 10
STATE_READS = 3  # the position, the half-applied micro-batch, the last ranked word


@dataclass(frozen=True, slots=True)
class _State:
    """What Redis holds when a chunk is about to be added.

    Attributes:
        position: Position of the statistics, canonical.
        finish: End position of the micro-batch that is half applied; "" for none.
        last: The last word of that micro-batch that is applied.
        cutoff: The last ranked word.
        entries: For each chunk that was looked up, the entries of its words.
    """

    position: str
    finish: str
    last: bytes
    cutoff: TopCutoff
    entries: list[list[bytes | None]]


@dataclass(frozen=True, slots=True)
class ShardedPart:
    """What a commit to a shard, or to the build behind its shards, does besides.

    Attributes:
        is_removal: Whether it takes out documents, although a shard's sums have none.
        deltas: What the shards have moved in the histogram of document frequencies.
        commands: Commands of the last transaction.
    """

    is_removal: bool = False
    deltas: Sequence[DfHistogramDelta] = ()
    commands: Sequence[bytes] = ()


class StatisticsCommit:
    """Adds the sums of the documents between two positions to the statistics.

    Reads run one chunk ahead: while Redis writes one chunk, the commands for the next are built here.
    """

    def __init__(
        self,
        keys: Keys,
        sums: Sums,
        start: Position,
        finish: Position,
        *,
        chunk_words: int,
        top_words: int,
        guard: MemoryGuard | None = None,
        shards: ShardedPart | None = None,
    ) -> None:
        self._keys = keys
        self._shards = shards or ShardedPart()
        self._sums = sums
        self._start, self._finish = canonical(start), canonical(finish)
        self._chunk_words, self._top_words = chunk_words, top_words
        self._words = sums.words["word"].combine_chunks()
        self._packed_words = packed_column(self._words)
        self._tf, self._df = sums.words["tf"].to_numpy(), sums.words["df"].to_numpy()
        self._begin, self._after = 0, b""  # index of the next chunk's first word, and the word before it
        self._deltas: list[DfHistogramDelta] = []  # of the chunks that are applied
        self._entries: list[bytes | None] | None = None  # of the next chunk's words, once they have been read
        self._cutoff = TopCutoff()  # as of the last read
        self._unanswered: int | None = None  # number of commands of the transaction whose reply is outstanding
        self._collisions = 0
        self.moved: DfHistogramDelta | None = None  # once `run` has applied the last chunk itself
        self._guard = guard or MemoryGuard()
        self._unchecked_words = CHECK_WORDS  # words since the guard was asked
        self._is_removal = self._shards.is_removal or sums.takes_out  # which makes room

    def run(self, pipeline: TransactionPipeline) -> None:
        """Commit, from whatever part of it Redis already holds.

        Raises:
            NotInStepError: Redis is neither at the start nor at the end of the micro-batch, nor between them.
            MemoryFullError: Redis has no room for the next words.
            EvictionPolicyError: Redis would evict.
            StatisticsError: A key was changed by something else again and again, or holds a malformed value.
            RedisError: Redis refused a command, or the connection was lost.
        """
        while not self.step(pipeline):
            pass

    def step(self, pipeline: TransactionPipeline) -> bool:
        """Apply one chunk; return whether the commit is complete."""
        chunk, following = self._chunk(self._begin), self._chunk(self._begin + self._chunk_words)
        # The first commit finds Redis empty.
        is_known = not self._start or self._entries is not None
        unread = [
            part for part in ((following,) if is_known else (chunk, following)) if self._start and len(part.words)
        ]
        self._unchecked_words += len(chunk.words)
        is_due = self._unchecked_words > CHECK_WORDS and not self._is_removal
        reads = [*self._state_reads(), *([packed("INFO", "memory")] if is_due else [])]
        pipeline.send_watch(self._keys.all(), *reads, *(self._lookup(part) for part in unread))
        # Built while Redis still writes the chunk before. If that one raises the cutoff, some words are ranked here
        # only to be trimmed again.
        ready = chunk.commands(self._entries, self._cutoff, self._keys, self._top_words) if is_known else None
        self._receive_write(pipeline)
        replies = pipeline.receive_watch(len(reads) + len(unread))
        memory = replies.pop(STATE_READS) if is_due else None
        state = self._parse_state(replies)
        self._cutoff = state.cutoff
        if state.position == self._finish:
            return True
        if state.position != self._start or state.finish not in ("", self._finish):
            position = state.finish or state.position or "the beginning"
            raise NotInStepError(f"Redis is at {position}, not at {self._start or 'the beginning'}")
        if state.last != self._after:
            self._resume(pipeline)
            return False
        if memory is not None:
            self._guard.check(memory, len(self._words) - self._begin)
            self._unchecked_words = len(chunk.words)
        crash_point("redis-chunk-read")
        if ready is None:
            entries = state.entries[0] if len(chunk.words) else []
            ready = chunk.commands(entries, state.cutoff, self._keys, self._top_words)
        # Until the transaction below they are watched. After it nobody can change them without changing what the next
        # step reads first: the position, or the last word of the half-applied micro-batch.
        self._entries = state.entries[-1] if self._start and len(following.words) else None
        commands, delta = ready
        if not len(following.words):
            moved = [applied.rows for applied in (*self._deltas, delta, *self._shards.deltas)]
            whole = DfHistogramDelta.of(np.concatenate(moved))
            commands = [*commands, *self._shards.commands]
            self._unanswered = pipeline.send_exec(*commands, *self._final(pipeline, whole))
            if not self._receive_write(pipeline):
                return False
            self.moved = whole
            return True
        self._after = chunk.words[-1].as_py()
        # One field for each chunk; a single field would have to be rewritten, ever larger, with every chunk.
        progress = ("finish", self._finish, "last", self._after, f"moves {self._begin}", delta.to_bytes())
        self._unanswered = pipeline.send_exec(*commands, packed("HSET", self._keys.commit, *progress))
        self._begin += len(chunk.words)
        self._deltas.append(delta)
        return False

    def _resume(self, pipeline: TransactionPipeline) -> None:
        """Continue a commit that was interrupted, or whose reply was lost."""
        (stored,) = pipeline.read(packed("HGETALL", self._keys.commit))
        if not isinstance(stored, dict):  # RESP 2
            stored = dict(zip(stored[::2], stored[1::2], strict=True))
        self._after = stored.get(b"last", b"")
        self._begin = pc.sum(pc.less_equal(self._words, self._after)).as_py() or 0
        deltas = [value for field, value in stored.items() if field.startswith(b"moves ")]
        try:
            self._deltas = [DfHistogramDelta.from_bytes(value) for value in deltas]
        except ValueError:
            raise CorruptStatisticsError(self._keys.commit, "holds `moves` that are no array of integers") from None
        self._entries = None

    def _chunk(self, begin: int) -> Chunk:
        part = slice(begin, begin + self._chunk_words)
        return Chunk(self._words[part], self._packed_words[part], self._tf[part], self._df[part])

    def _state_reads(self) -> list[bytes]:
        return [
            packed("GET", self._keys.position),
            packed("HMGET", self._keys.commit, "finish", "last"),
            packed("ZRANGE", self._keys.top, self._top_words - 1, self._top_words - 1, "WITHSCORES"),
        ]

    def _lookup(self, chunk: Chunk) -> bytes:
        return packed_rows(["HMGET", self._keys.words], chunk.packed, 1)

    def _parse_state(self, replies: Sequence[Any]) -> _State:
        position, (finish, last), ranked, *entries = replies
        if ranked and isinstance(ranked[0], list):  # RESP 3 nests the pairs
            ranked = ranked[0]
        try:
            cutoff = TopCutoff(ranked[0], -int(float(ranked[1]))) if ranked else TopCutoff()
        except (ValueError, OverflowError):
            raise CorruptStatisticsError(self._keys.top, "has a score that is no term frequency") from None
        return _State(
            position=(position or b"").decode(errors="replace"),
            finish=(finish or b"").decode(errors="replace"),
            last=last or b"",
            cutoff=cutoff,
            entries=entries,
        )

    def _receive_write(self, pipeline: TransactionPipeline) -> bool:
        """Return whether the outstanding transaction was applied, or none is outstanding.

        If it was not, the next step reads what Redis holds and continues from there.
        """
        unanswered, self._unanswered = self._unanswered, None
        if unanswered is None:
            return True
        if pipeline.receive_exec(unanswered):
            crash_point("redis-chunk")
            return True
        self._collisions += 1
        if self._collisions > MAX_COLLISIONS:
            raise StatisticsError(
                f"something else keeps writing to the Redis keys {self._keys.prefix}…: stop it, or give wetstream a "
                "database of its own (redis.url)"
            )
        return False

    def _final(self, pipeline: TransactionPipeline, delta: DfHistogramDelta) -> list[bytes]:
        """The last commands of a micro-batch: all counts but the words, and the position."""
        amounts = _counts(self._sums)
        amounts["totals"]["words"] = delta.words
        amounts["df_words"], amounts["df_tokens"] = delta.by_df()
        by_key = {getattr(self._keys, name): {f: n for f, n in by.items() if n} for name, by in amounts.items()}
        by_key = {key: by for key, by in by_key.items() if by}
        current = pipeline.read(*(packed("HMGET", key, *by) for key, by in by_key.items()))
        commands: list[bytes] = []
        for (key, by), old in zip(by_key.items(), current, strict=True):
            commands += _added(key, by, old)
        # Words outside `top` may now be more frequent than some in it.
        stale = ["ranks", "stale"] if self._sums.takes_out else []
        return [
            *commands,
            packed("SET", self._keys.position, self._finish),
            packed("HSET", self._keys.as_of, "time", repr(time.time()), *stale),
            packed("DEL", self._keys.commit),
        ]


def _counts(sums: Sums) -> dict[str, dict[str, int]]:
    """All counts but the words: what is added, by name of the key and field."""
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
        "languages": _page_fields(sums.languages),
        "tlds": _page_fields(sums.tlds),
        "days": _page_fields(sums.days),
    }


def _page_fields(counts: Mapping[str, PageCounts]) -> dict[str, int]:
    return {f"{name}\t{key}": getattr(count, name) for key, count in counts.items() for name in PageCounts._fields}


def _added(key: str, amounts: Mapping[str, int], old: Sequence[bytes | None]) -> Iterator[bytes]:
    """Yield the commands that add to fields of a hash, given their old values; a field that becomes 0 is deleted."""
    new = {
        field: parse_int(key, field, before) + amount
        for (field, amount), before in zip(amounts.items(), old, strict=True)
    }
    if kept := [part for field, n in new.items() if n for part in (field, n)]:
        yield packed("HSET", key, *kept)
    if gone := [field for field, n in new.items() if not n]:
        yield packed("HDEL", key, *gone)
