"""The most frequent words, which are kept ranked in Redis (setting redis.top_words), read at one instant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgpack
import numpy as np
from numpy.typing import NDArray
from redis import Redis

from serving.as_of import AsOf
from serving.atomic_read import read_atomically
from serving.view import EVERYTHING, View
from sinks.keys import Keys
from sinks.statistics.stored import parse_word_counts

By = Literal["tf", "df"]

# KEYS: top, words. Gives msgpack {words, entries}. A script, since the words have to be known to ask for their counts,
# and both have to be of one instant; packed, since that is read several times as fast as a reply of so many strings.
RANKED = """
local words, entries = redis.call('ZRANGE', KEYS[1], 0, -1), {}
for first = 1, #words, 2000 do
  for _, entry in ipairs(redis.call('HMGET', KEYS[2], unpack(words, first, math.min(first + 1999, #words)))) do
    entries[#entries + 1] = entry or '0 0'
  end
end
return cmsgpack.pack({words, entries})
"""


@dataclass(frozen=True)
class TopWords:
    """Ranked words, by tf descending, then by word; arrays of the same length. `all_words`: how many words there are,
    ranked or not.
    """

    words: Sequence[bytes]
    tf: NDArray[np.int64]
    df: NDArray[np.int64]
    documents: int
    all_words: int
    as_of: AsOf

    def top(self, limit: int = 20, view: View = EVERYTHING, *, by: By = "tf", offset: int = 0) -> dict[str, Any]:
        """The most frequent words {word, tf, df}, from the `offset`th on, by `by` descending, then by word.

        By df: exact as long as the words asked for can be told to be among those ranked by tf (tf >= df, so any word
        that is not ranked has a df of at most the last ranked tf). Raises ValueError when more words are asked for than
        that; the message names the remedy.
        """
        chosen = np.flatnonzero(view.mask(self.df, self.documents) & (self.df > 0))
        is_partial = len(self.words) < self.all_words
        if by == "df":
            chosen = chosen[np.lexsort((chosen, -self.tf[chosen], -self.df[chosen]))]
            if is_partial:
                chosen = chosen[self.df[chosen] > self.tf[-1]] if len(self.words) else chosen
        wanted = limit + offset
        if len(chosen) < wanted and is_partial:
            raise ValueError(
                f"only the {len(self.words):,} most frequent words are kept ranked, and {len(chosen):,} of them answer "
                f"this: ask for fewer than {wanted:,}, or raise redis.top_words and run `wetstream rebuild`"
            )
        rows = [
            {"word": self.words[number].decode(), "tf": int(self.tf[number]), "df": int(self.df[number])}
            for number in chosen[offset:wanted]
        ]
        return {"words": rows, "by": by, "view": view.to_json(), "as_of": self.as_of.answer}


def read_top_words(client: Redis, pipeline: str, keys: Keys | None = None) -> TopWords:
    """All ranked words. `keys` as in `read_atomically`. Raises NoStatisticsError, RedisError."""
    read_keys, as_of, replies = read_atomically(client, pipeline, queue_top_words, keys)
    return parse_top_words(read_keys, as_of, replies)


def queue_top_words(pipe: Any, keys: Keys) -> None:
    """Queue the commands whose replies `parse_top_words` takes on a Redis pipeline."""
    pipe.hmget(keys.totals, ["documents", "words"])
    pipe.eval(RANKED, 2, keys.top, keys.words)


TOP_WORDS_REPLIES = 2


def parse_top_words(keys: Keys, as_of: AsOf, replies: Sequence[Any]) -> TopWords:
    """The ranking from the replies."""
    (documents, all_words), packed = replies
    # An empty table of Lua is packed as a map.
    words, entries = (list(column) for column in msgpack.unpackb(packed, raw=True))
    counts = parse_word_counts(keys.words, entries)
    return TopWords(words, counts[:, 0], counts[:, 1], int(documents or 0), int(all_words or 0), as_of)
