"""A copy of the whole vocabulary in memory, for questions that Redis' structures do not answer.

Its words are read in pieces while the stream may be writing: `settled` says whether nothing was written meanwhile, so
that it is exactly the state of `as_of`; else single words are up to some micro-batches newer than others.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import msgpack
import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray
from redis import Redis

from serving.as_of import AsOf
from serving.atomic_read import read_atomically
from serving.view import EVERYTHING, View
from serving.word_lookup import inverse_document_frequency
from sinks.statistics.stored import parse_word_counts

SCAN_WORDS = 5_000
CURVE_POINTS = 120
NAMES = ("word", "tf", "df")

# KEYS: words; ARGV: cursor, words. Gives msgpack {next cursor, words, entries}: packed, since a million words are read
# several times as fast as single strings.
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
    """Words in bytewise order, with term and document frequencies; arrays of the same length. `seconds` is what
    taking it took.
    """

    words: pa.Array
    tf: NDArray[np.int64]
    df: NDArray[np.int64]
    documents: int
    as_of: AsOf
    settled: bool
    taken: float
    seconds: float

    def prefix(self, prefix: str, limit: int = 20, view: View = EVERYTHING) -> dict[str, Any]:
        """Words that begin with `prefix` (in lower case), the most frequent first, and how many there are."""
        return self.page("tf", limit, 0, view, prefix=prefix)

    def bottom(self, limit: int = 20, view: View = EVERYTHING, offset: int = 0) -> dict[str, Any]:
        """The least frequent words: by tf, then df ascending, then by word."""
        chosen = np.flatnonzero(self._holds(view))
        tf = self.tf[chosen]
        wanted = limit + offset
        if len(chosen) > wanted:
            chosen = chosen[tf <= np.partition(tf, wanted - 1)[wanted - 1]]
        order = np.lexsort((chosen, self.df[chosen], self.tf[chosen]))[offset:wanted]
        return self._answer(chosen[order], total=int(self._holds(view).sum()), view=view)

    def page(
        self, by: str, limit: int, offset: int, view: View = EVERYTHING, *, prefix: str = "", contains: str = ""
    ) -> dict[str, Any]:
        """Any page of the vocabulary, ordered by `tf`, `df` (both descending, then by word) or `word`; only words that
        begin with `prefix` and hold the text `contains`.
        """
        mask = self._holds(view)
        if prefix:
            begin, end = self._range(prefix.lower().encode())
            mask[:begin] = mask[end:] = False
        if contains:
            found = pa.compute.match_substring(self.words.cast(pa.string()), contains.lower())
            mask = mask & found.to_numpy(zero_copy_only=False)
        if by == "word":
            chosen = np.flatnonzero(mask)
        else:
            order = self._by_tf if by == "tf" else self._by_df
            chosen = order[mask[order]]
        return self._answer(chosen[offset : offset + limit], total=len(chosen), view=view)

    def zipf(self, view: View = EVERYTHING) -> dict[str, Any]:
        """Rank-frequency curve: points {rank, tf, word}, evenly spread over the logarithm of the rank."""
        mask = self._holds(view)
        order = self._by_tf[mask[self._by_tf]]
        if not len(order):
            return {"points": [], "words": 0, **self._state()}
        ranks = np.unique(np.geomspace(1, len(order), CURVE_POINTS).round().astype(np.int64))
        points = [
            {"rank": int(rank), "tf": int(self.tf[order[rank - 1]]), "word": self._word(order[rank - 1])}
            for rank in ranks
        ]
        return {"points": points, "words": len(order), **self._state()}

    def rank(self, word: str) -> int | None:
        """Place of a word by tf descending, then by word, from 1; None when it is not there."""
        number, end = self._range(word.lower().encode())
        if number == end or self._word(number) != word.lower():
            return None
        tf = self.tf
        return bisect_left(self._by_tf, (-tf[number], number), key=lambda other: (-tf[other], other)) + 1

    def _answer(self, chosen: NDArray[np.int64], *, total: int, view: View) -> dict[str, Any]:
        rows = [
            {
                "word": self._word(number),
                "tf": int(self.tf[number]),
                "df": int(self.df[number]),
                "idf": inverse_document_frequency(int(self.df[number]), self.documents),
            }
            for number in chosen
        ]
        return {"words": rows, "total": total, "view": view.to_json(), **self._state()}

    def _state(self) -> dict[str, Any]:
        return {"settled": self.settled, "as_of": self.as_of.answer | {"taken": self.taken}}

    def _word(self, number: Any) -> str:
        return bytes(self.words[int(number)].as_py()).decode()

    def _holds(self, view: View) -> NDArray[np.bool_]:
        return view.mask(self.df, self.documents)

    def _range(self, prefix: bytes) -> tuple[int, int]:
        """Where the words with this prefix stand; if `prefix` is itself one, it is the first."""
        begin = _bisect(self.words, prefix)
        # UTF-8 holds no byte 0xff: it is greater than whatever may follow the prefix.
        return begin, _bisect(self.words, prefix + b"\xff")

    def prepare(self) -> None:
        """Sort now, so that no question has to wait for it."""
        _ = self._by_tf

    # The sorts are stable: of words that are alike, those stay first that come first in order of the words.
    @cached_property
    def _by_tf(self) -> NDArray[np.int64]:
        return np.argsort(-self.tf, kind="stable")

    @cached_property
    def _by_df(self) -> NDArray[np.int64]:
        return self._by_tf[np.argsort(-self.df[self._by_tf], kind="stable")]


def read_vocabulary_snapshot(client: Redis, pipeline: str) -> VocabularySnapshot:
    """Read the whole vocabulary. Raises NoStatisticsError, RedisError."""
    began = time.monotonic()
    keys, before, _ = read_atomically(client, pipeline, lambda pipe, keys: None)
    pieces: list[pa.Table] = []
    cursor = b"0"
    while not pieces or cursor != b"0":
        packed = cast("bytes", client.eval(PIECE, 1, keys.words, cursor, SCAN_WORDS))
        cursor, words, entries = msgpack.unpackb(packed, raw=True)
        counts = parse_word_counts(keys.words, list(entries))
        pieces.append(pa.table([pa.array(list(words), pa.binary()), counts[:, 0], counts[:, 1]], NAMES))
    now, after, (documents,) = read_atomically(client, pipeline, lambda pipe, keys: pipe.hget(keys.totals, "documents"))
    held, tf, df = _columns(pa.concat_tables(pieces))
    still = (now, before.answer["positions"], False, False)
    settled = still == (keys, after.answer["positions"], before.answer["applying"], after.answer["applying"])
    seconds = time.monotonic() - began
    return VocabularySnapshot(held, tf, df, int(documents or 0), after, settled, time.time(), seconds)


def _columns(table: pa.Table) -> tuple[pa.Array, NDArray[np.int64], NDArray[np.int64]]:
    """Columns in order of the words. A scan may meet a word twice; the later one counts (the order is stable)."""
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
