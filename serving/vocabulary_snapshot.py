"""A copy of the whole vocabulary in memory, for questions that Redis' structures do not answer.

Words are read in pieces while the stream may be writing. `settled` says that nothing was written meanwhile, so that the
snapshot is exactly the state of `as_of`; otherwise some words may be a few micro-batches newer than others.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, cast

import msgpack
import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray
from redis import Redis

from serving.answers.shape import SnapshotAsOf
from serving.answers.words import FoundWord, FoundWords, RankPoint, Zipf
from serving.as_of import Instant
from serving.atomic_read import corruption_explained, read_atomically
from serving.view import EVERYTHING, View
from serving.word_lookup import inverse_document_frequency
from sinks.keys import Keys
from sinks.redis_clients.shards import client_of
from sinks.statistics.stored import parse_int, parse_word_counts

SCAN_WORDS = 5_000
CURVE_POINTS = 120
NAMES = ("word", "tf", "df")

WordOrder = Literal["tf", "df", "word"]

# KEYS: words; ARGV: cursor, words. Returns msgpack [next cursor, words, entries]: packed, because clients parse that
# several times as fast as many strings.
PIECE = """
local found = redis.call('HSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
local words, entries = {}, {}
for i = 1, #found[2], 2 do
  words[#words + 1], entries[#entries + 1] = found[2][i], found[2][i + 1]
end
return cmsgpack.pack({found[1], words, entries})
"""


@dataclass(frozen=True)
class VocabularySnapshot:
    """All words in bytewise order.

    Attributes:
        words: UTF-8 (binary), [n].
        tf: Term frequencies, [n].
        df: Document frequencies, [n].
        documents: Kept documents when the snapshot was complete.
        instant: When the snapshot was complete.
        settled: Whether nothing was written while the snapshot was taken.
        taken: When it was complete, Unix seconds.
        duration_s: How long it took.
    """

    words: pa.Array
    tf: NDArray[np.int64]
    df: NDArray[np.int64]
    documents: int
    instant: Instant
    settled: bool
    taken: float
    duration_s: float

    def table(self, view: View = EVERYTHING) -> pa.Table:
        """Return the words in `view` with their counts.

        Returns:
            Columns `word` (string), `tf` (int64, occurrences), `df` (int64, documents) and `idf` (float64,
            ln(documents / df)), by descending `tf`, then `word`.
        """
        order = self._by_tf[view.mask(self.df, self.documents)[self._by_tf]]
        words = self.words.take(pa.array(order))
        try:
            words = words.cast(pa.string())
        except pa.ArrowInvalid:
            words = pa.array([word.decode("utf-8", "replace") for word in words.to_pylist()], pa.string())
        tf, df = self.tf[order], self.df[order]
        # Counts of words may run ahead of `documents`; such a word counts as one of all documents.
        idf = np.log(np.maximum(self.documents, df) / np.maximum(df, 1))
        return pa.table({"word": words, "tf": tf, "df": df, "idf": idf})

    def prefix(self, prefix: str, limit: int = 20, view: View = EVERYTHING) -> FoundWords:
        """Return words that begin with `prefix`, the most frequent first."""
        return self.search("tf", limit, 0, view, prefix=prefix)

    def bottom(self, limit: int = 20, view: View = EVERYTHING, offset: int = 0) -> FoundWords:
        """Return the least frequent words: by tf, then df, both ascending, then by word."""
        mask = view.mask(self.df, self.documents)
        order = np.flatnonzero(mask)
        tf = self.tf[order]
        end = offset + limit
        if len(order) > end:
            order = order[tf <= np.partition(tf, end - 1)[end - 1]]
        order = order[np.lexsort((order, self.df[order], self.tf[order]))[offset:end]]
        return self._found(order, total=int(mask.sum()), view=view)

    def search(
        self,
        by: WordOrder,
        limit: int,
        offset: int,
        view: View = EVERYTHING,
        *,
        prefix: str = "",
        contains: str = "",
    ) -> FoundWords:
        """Return a page of the vocabulary.

        Args:
            by: Order: `tf` or `df` descending, then by word; or `word`.
            limit: Words in the page.
            offset: Words before it.
            view: Only words in this view.
            prefix: Only words that begin with this text, in any case.
            contains: Only words that contain this text, in any case.
        """
        mask = view.mask(self.df, self.documents)
        if prefix:
            begin, end = self._range(prefix.lower().encode("utf-8", "replace"))
            mask[:begin] = mask[end:] = False
        if contains:
            pattern = contains.lower().encode("utf-8", "replace")
            found = pa.compute.match_substring(self.words, pattern)
            mask = mask & found.to_numpy(zero_copy_only=False)
        if by == "word":
            order = np.flatnonzero(mask)
        else:
            ranked = self._by_tf if by == "tf" else self._by_df
            order = ranked[mask[ranked]]
        return self._found(order[offset : offset + limit], total=len(order), view=view)

    def zipf(self, view: View = EVERYTHING) -> Zipf:
        """Return the rank-frequency curve: points evenly spread over the logarithm of the rank."""
        mask = view.mask(self.df, self.documents)
        order = self._by_tf[mask[self._by_tf]]
        # Without words there are no ranks, and nothing to space them over.
        ranks = np.unique(np.geomspace(1, max(1, len(order)), CURVE_POINTS).round().astype(np.int64))[: len(order)]
        points: list[RankPoint] = [
            {"rank": int(rank), "tf": int(self.tf[order[rank - 1]]), "word": self._word(order[rank - 1])}
            for rank in ranks
        ]
        return {"points": points, "words": len(order), "settled": self.settled, "as_of": self.as_of}

    def find(self, word: str) -> int | None:
        """Return the index of a word; None for an unseen one."""
        number, end = self._range(word.lower().encode("utf-8", "replace"))
        return None if number == end or self._word(number) != word.lower() else number

    def rank(self, word: str) -> int | None:
        """Return the rank of a word by tf descending, then by word, from 1; None for an unseen word."""
        number = self.find(word)
        if number is None:
            return None
        tf = self.tf
        return bisect_left(self._by_tf, (-tf[number], number), key=lambda other: (-tf[other], other)) + 1

    @property
    def as_of(self) -> SnapshotAsOf:
        """State of the numbers when the snapshot was complete."""
        return {**self.instant.as_of, "taken": self.taken}

    def prepare(self) -> None:
        """Sort now, so that no request has to wait for it."""
        _ = self._by_tf

    def _found(self, order: NDArray[np.int64], *, total: int, view: View) -> FoundWords:
        words: list[FoundWord] = [
            {
                "word": self._word(number),
                "tf": int(self.tf[number]),
                "df": int(self.df[number]),
                "idf": inverse_document_frequency(int(self.df[number]), self.documents),
            }
            for number in order
        ]
        return {
            "words": words,
            "total": total,
            "view": view.thresholds,
            "settled": self.settled,
            "as_of": self.as_of,
        }

    def _word(self, number: Any) -> str:
        return bytes(self.words[int(number)].as_py()).decode("utf-8", "replace")

    def _range(self, prefix: bytes) -> tuple[int, int]:
        """Return begin and end of the words with this prefix; if it is a word itself, that is the first."""
        # UTF-8 has no byte 0xff, so it sorts behind everything that may follow the prefix.
        return _bisect(self.words, prefix), _bisect(self.words, prefix + b"\xff")

    # Stable sorts keep words of equal frequency in order of the words.
    @cached_property
    def _by_tf(self) -> NDArray[np.int64]:
        return np.argsort(-self.tf, kind="stable")

    @cached_property
    def _by_df(self) -> NDArray[np.int64]:
        return self._by_tf[np.argsort(-self.df[self._by_tf], kind="stable")]


def read_vocabulary_snapshot(client: Redis, pipeline: str) -> VocabularySnapshot:
    """Read the whole vocabulary: about a second for a million words. Raises what `read_atomically` raises."""
    began = time.monotonic()
    keys, before, _ = read_atomically(client, pipeline, lambda pipe, keys: None)
    pieces: list[pa.Table] = []
    for part in keys.shards or [keys]:
        pieces += _pieces(client_of(client, part), part)
    with corruption_explained(keys.words):
        held, tf, df = _columns(pa.concat_tables(pieces))
    now, after, (total,) = read_atomically(client, pipeline, lambda pipe, keys: pipe.hget(keys.totals, "documents"))
    documents = parse_int(now.totals, "documents", total)
    settled = (
        now == keys
        and after.as_of["positions"] == before.as_of["positions"]
        and not (before.as_of["applying"] or after.as_of["applying"])
    )
    duration_s = time.monotonic() - began
    return VocabularySnapshot(held, tf, df, documents, after, settled, time.time(), duration_s)


def _pieces(client: Redis, keys: Keys) -> Iterator[pa.Table]:
    """Yield the words of a build, or of one of its shards, in pieces."""
    cursor = b""
    with corruption_explained(keys.words):
        while cursor != b"0":
            packed = cast("bytes", client.eval(PIECE, 1, keys.words, cursor or b"0", SCAN_WORDS))
            cursor, words, entries = msgpack.unpackb(packed, raw=True)
            counts = parse_word_counts(keys.words, list(entries))
            yield pa.table([pa.array(list(words), pa.binary()), counts[:, 0], counts[:, 1]], NAMES)


def _columns(table: pa.Table) -> tuple[pa.Array, NDArray[np.int64], NDArray[np.int64]]:
    """Sort by word. A scan may return a word twice; the later row counts (the sort is stable)."""
    table = table.sort_by("word")
    words = table["word"].combine_chunks()
    if len(words) > 1:
        last = np.append(pa.compute.not_equal(words[:-1], words[1:]).to_numpy(zero_copy_only=False), True)
        if not last.all():
            table = table.filter(pa.array(last))
            words = table["word"].combine_chunks()
    return words, table["tf"].to_numpy(), table["df"].to_numpy()


def _bisect(words: pa.Array, value: bytes) -> int:
    low, high = 0, len(words)
    while low < high:
        middle = (low + high) // 2
        if words[middle].as_py() < value:
            low = middle + 1
        else:
            high = middle
    return low
