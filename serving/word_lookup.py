"""Look-ups of words, asked of Redis at the moment."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from serving.as_of import AsOf
from serving.atomic_read import read_atomically, read_atomically_async
from sinks.keys import Keys
from sinks.statistics.stored import parse_word_counts


def look_up_words(client: Redis, pipeline: str, words: Sequence[str]) -> dict[str, Any]:
    """Of each word (as it is stored: lower case) tf, df, idf and rank; all at one instant.

    idf is ln(documents / df), None for a word that never came. rank counts from 1 by tf descending, then by word; None
    for a word that is not kept ranked.
    """
    stored = [word.lower() for word in words]
    read_keys, as_of, replies = read_atomically(client, pipeline, partial(_ask, stored))
    return _answer(read_keys, stored, as_of, replies)


async def look_up_words_async(client: AsyncRedis, pipeline: str, words: Sequence[str], keys: Keys) -> dict[str, Any]:
    """`look_up_words` for an event loop; `keys` as in `read_atomically`."""
    stored = [word.lower() for word in words]
    read_keys, as_of, replies = await read_atomically_async(client, pipeline, partial(_ask, stored), keys)
    return _answer(read_keys, stored, as_of, replies)


def _ask(stored: Sequence[str], pipe: Any, keys: Keys) -> None:
    pipe.hget(keys.totals, "documents")
    pipe.hmget(keys.words, stored)
    for word in stored:
        pipe.zrank(keys.top, word)


def _answer(keys: Keys, stored: Sequence[str], as_of: AsOf, replies: Sequence[Any]) -> dict[str, Any]:
    held, entries, *ranks = replies
    documents = int(held or 0)
    counts = parse_word_counts(keys.words, [entry or b"0 0" for entry in entries])
    rows = [
        {
            "word": word,
            "tf": int(tf),
            "df": int(df),
            "idf": inverse_document_frequency(int(df), documents),
            "rank": None if rank is None else rank + 1,
        }
        for word, (tf, df), rank in zip(stored, counts, ranks, strict=True)
    ]
    return {"words": rows, "documents": documents, "as_of": as_of.answer}


def inverse_document_frequency(df: int, documents: int) -> float | None:
    """ln(documents / df); None for a word of no document. Words that run ahead of the totals count as in all."""
    return round(math.log(max(documents, df) / df), 6) if df > 0 else None
