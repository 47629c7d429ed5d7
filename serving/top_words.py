"""The most frequent words, which Redis keeps ranked (setting redis.top_words), read at one instant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgpack
import numpy as np
from numpy.typing import NDArray
from redis import Redis

from conf.errors import ExplainedError
from serving.answers.words import Top
from serving.as_of import Instant
from serving.atomic_read import read_atomically
from serving.view import EVERYTHING, View
from sinks.keys import Keys
from sinks.statistics.stored import parse_int, parse_word_counts

RankBy = Literal["tf", "df"]

# KEYS: top, words. Returns msgpack [words, entries]. A script, because the words must be known before their counts can
# be read, and both must be of one instant; packed, because clients parse that several times as fast as many strings.
RANKED = """
local words, entries = redis.call('ZRANGE', KEYS[1], 0, -1), {}
for first = 1, #words, 2000 do
  for _, entry in ipairs(redis.call('HMGET', KEYS[2], unpack(words, first, math.min(first + 1999, #words)))) do
    entries[#entries + 1] = entry or '0 0'
  end
end
return cmsgpack.pack({words, entries})
"""


class NotRankedError(ExplainedError, ValueError):
    """More words were requested than are kept ranked; the message names the remedy."""


@dataclass(frozen=True)
class TopWords:
    """Ranked words by tf descending, then by word.

    Attributes:
        words: UTF-8, [n].
        tf: Term frequencies, [n].
        df: Document frequencies, [n].
        documents: Kept documents.
        all_words: Size of the vocabulary, ranked or not.
    """

    words: Sequence[bytes]
    tf: NDArray[np.int64]
    df: NDArray[np.int64]
    documents: int
    all_words: int
    instant: Instant

    def top(self, limit: int = 20, view: View = EVERYTHING, *, by: RankBy = "tf", offset: int = 0) -> Top:
        """Return the most frequent words, by `by` descending, then by word.

        The order by df is exact as far as it goes: tf >= df, so an unranked word has a df of at most the last ranked
        tf, and words with a higher df than that cannot be preceded by it.

        Raises:
            NotRankedError: The ranked words do not decide `offset + limit` places.
        """
        order = np.flatnonzero(view.mask(self.df, self.documents) & (self.df > 0))
        is_partial = len(self.words) < self.all_words
        if is_partial and len(self.words):
            is_partial = view.min_df <= self.tf[-1]  # else no unranked word, whose df <= tf, is in the view
        if by == "df":
            order = order[np.lexsort((order, -self.tf[order], -self.df[order]))]
            if is_partial and len(self.words):
                order = order[self.df[order] > self.tf[-1]]
        end = offset + limit
        if len(order) < end and is_partial:
            raise NotRankedError(
                f"only the {len(self.words):,} most frequent words are kept ranked, and {len(order):,} of them answer "
                f"this: ask for fewer than {end:,}, or raise redis.top_words and run `wetstream rebuild`"
            )
        words = [self.words[number].decode("utf-8", "replace") for number in order[offset:end]]
        return {
            "words": [
                {"word": word, "tf": int(self.tf[number]), "df": int(self.df[number])}
                for word, number in zip(words, order[offset:end], strict=True)
            ],
            "by": by,
            "view": view.thresholds,
            "as_of": self.instant.as_of,
        }


def read_top_words(client: Redis, pipeline: str, keys: Keys | None = None) -> TopWords:
    """Read all ranked words.

    Args:
        client: Redis.
        pipeline: Name of the pipeline.
        keys: As in `read_atomically`, which also says what is raised.
    """
    return parse_top_words(*read_atomically(client, pipeline, queue_top_words, keys))


def queue_top_words(pipe: Any, keys: Keys) -> None:
    """Queue the commands whose TOP_WORDS_REPLIES replies `parse_top_words` takes."""
    pipe.hmget(keys.totals, ["documents", "words"])
    pipe.eval(RANKED, 2, keys.top, keys.words)


TOP_WORDS_REPLIES = 2


def parse_top_words(keys: Keys, instant: Instant, replies: Sequence[Any]) -> TopWords:
    """Parse the replies to `queue_top_words`. Raises CorruptStatisticsError."""
    (documents, all_words), packed = replies
    # Lua packs an empty table as a map.
    words, entries = (list(column) for column in msgpack.unpackb(packed, raw=True))
    counts = parse_word_counts(keys.words, entries)
    return TopWords(
        words,
        counts[:, 0],
        counts[:, 1],
        parse_int(keys.totals, "documents", documents),
        parse_int(keys.totals, "words", all_words),
        instant,
    )
