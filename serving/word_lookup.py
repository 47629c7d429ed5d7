"""Counts of single words, read from Redis on request."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from serving.answers.words import Word, Words
from serving.as_of import Instant
from serving.atomic_read import read_atomically, read_atomically_async
from sinks.keys import Keys
from sinks.statistics.stored import parse_int, parse_word_counts

UNSEEN = b"0 0"


def look_up_words(client: Redis, pipeline: str, words: Sequence[str]) -> Words:
    """Return tf, df, idf and rank of words, all at one instant; zeros for unseen words.

    Words are stored, and so looked up, in lower case. The rank counts from 1 by tf descending, then by word; None for a
    word that is not kept ranked. Raises what `read_atomically` raises.
    """
    stored = [word.lower() for word in words]
    return _answer(stored, *read_atomically(client, pipeline, partial(_queue, stored)))


async def look_up_words_async(client: AsyncRedis, pipeline: str, words: Sequence[str], keys: Keys) -> Words:
    """Like `look_up_words`, in an event loop; `keys` as in `read_atomically`."""
    stored = [word.lower() for word in words]
    return _answer(stored, *await read_atomically_async(client, pipeline, partial(_queue, stored), keys))


def _queue(stored: Sequence[str], pipe: Any, keys: Keys) -> None:
    pipe.hget(keys.totals, "documents")
    pipe.hmget(keys.words, stored)
    for word in stored:
        pipe.zrank(keys.top, word)


def _answer(stored: Sequence[str], keys: Keys, instant: Instant, replies: Sequence[Any]) -> Words:
    total, entries, *ranks = replies
    documents = parse_int(keys.totals, "documents", total)
    counts = parse_word_counts(keys.words, [entry or UNSEEN for entry in entries])
    words: list[Word] = [
        {
            "word": word,
            "tf": int(tf),
            "df": int(df),
            "idf": inverse_document_frequency(int(df), documents),
            "rank": None if rank is None else rank + 1,
        }
        for word, (tf, df), rank in zip(stored, counts, ranks, strict=True)
    ]
    return {"words": words, "documents": documents, "as_of": instant.as_of}


def inverse_document_frequency(df: int, documents: int) -> float | None:
    """Return ln(documents / df), rounded to six digits; None if df is 0.

    Counts of words may run ahead of `documents`; such a word counts as one of all documents.
    """
    return round(math.log(max(documents, df) / df), 6) if df > 0 else None
