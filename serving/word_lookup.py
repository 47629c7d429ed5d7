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
from sinks.redis_clients.shards import async_client_of, client_of
from sinks.statistics.shards import keys_of
from sinks.statistics.stored import parse_int, parse_word_counts

UNSEEN = b"0 0"


def look_up_words(client: Redis, pipeline: str, words: Sequence[str]) -> Words:
    """Return tf, df, idf and rank of words, all at one instant; zeros for unseen words.

    Words are stored, and so looked up, in lower case. The rank counts from 1 by tf descending, then by word; None for a
    word that is not kept ranked. Words in shards are read after the rest: `applying` then says that they are of another
    instant. Raises what `read_atomically` raises.
    """
    stored = [word.lower() for word in words]
    keys, instant, replies = read_atomically(client, pipeline, partial(_queue, stored))
    shards = []
    for shard, indices in _shards(keys, stored).items():
        with client_of(client, shard).pipeline(transaction=True) as pipe:
            _queue_shard(pipe, shard, [stored[index] for index in indices])
            shards.append((shard, indices, pipe.execute()))
    return _answer(stored, keys, instant, replies, shards)


async def look_up_words_async(client: AsyncRedis, pipeline: str, words: Sequence[str], keys: Keys) -> Words:
    """Like `look_up_words`, in an event loop; `keys` as in `read_atomically`."""
    stored = [word.lower() for word in words]
    keys, instant, replies = await read_atomically_async(client, pipeline, partial(_queue, stored), keys)
    shards = []
    for shard, indices in _shards(keys, stored).items():
        async with async_client_of(client, shard).pipeline(transaction=True) as pipe:
            _queue_shard(pipe, shard, [stored[index] for index in indices])
            shards.append((shard, indices, await pipe.execute()))
    return _answer(stored, keys, instant, replies, shards)


def _queue(stored: Sequence[str], pipe: Any, keys: Keys) -> None:
    pipe.get(keys.position)
    pipe.hget(keys.totals, "documents")
    pipe.hmget(keys.words, stored)
    for word in stored:
        pipe.zrank(keys.top, word)


def _shards(keys: Keys, stored: Sequence[str]) -> dict[Keys, list[int]]:
    return keys_of(keys, [word.encode("utf-8", "replace") for word in stored]) if keys.shards else {}


def _queue_shard(pipe: Any, shard: Keys, stored: Sequence[str]) -> None:
    pipe.get(shard.position)
    pipe.hmget(shard.words, stored)


def _answer(
    stored: Sequence[str],
    keys: Keys,
    instant: Instant,
    replies: Sequence[Any],
    shards: Sequence[tuple[Keys, list[int], Sequence[Any]]],
) -> Words:
    position, total, entries, *ranks = replies
    documents = parse_int(keys.totals, "documents", total)
    as_of = instant.as_of
    for shard, indices, (at, held) in shards:
        parse_word_counts(shard.words, [entry for entry in held if entry is not None])  # to name the key at fault
        for index, entry in zip(indices, held, strict=True):
            entries[index] = entry
        if at != position:
            as_of = {**as_of, "applying": True}
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
    return {"words": words, "documents": documents, "as_of": as_of}


def inverse_document_frequency(df: int, documents: int) -> float | None:
    """Return ln(documents / df), rounded to six digits; None if df is 0.

    Counts of words may run ahead of `documents`; such a word counts as one of all documents.
    """
    return round(math.log(max(documents, df) / df), 6) if df > 0 else None
