"""Asking Redis several things at one instant, of the statistics that readers use at that instant, in one trip.

A stream that commits at full speed keeps Redis busy for a chunk of words at a time (setting redis.chunk_words), and
each trip may have to wait for one: so an answer takes one trip, not several.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from conf.errors import ExplainedError
from serving.as_of import AS_OF_REPLIES, AsOf, parse_as_of, queue_as_of
from sinks.keys import Keys, live_key

# The keys that were live, the state, and the replies to what was asked besides.
Answer = tuple[Keys, AsOf, list[Any]]
# Puts commands on a Redis pipeline.
Queue = Callable[[Any, Keys], object]


class NoStatisticsError(ExplainedError):
    """Nothing has been counted for this pipeline yet; the message says what to do."""

    @classmethod
    def of(cls, pipeline: str) -> NoStatisticsError:
        """The error for this pipeline."""
        return cls(
            f"nothing is counted yet for pipeline {pipeline}: ingest a source and stream it (`wetstream run SOURCE`)"
        )


def live_keys(client: Redis, pipeline: str) -> Keys:
    """The keys that readers use now. Raises NoStatisticsError."""
    return _keys(cast("bytes | None", client.get(live_key(pipeline))), pipeline)


def read_atomically(client: Redis, pipeline: str, queue: Queue, keys: Keys | None = None) -> Answer:
    """The replies to the commands that `queue` puts on a Redis pipeline, the state at that instant, and the keys.

    `keys`: those that were live a moment ago, which saves a trip. Whether they still are is asked in the same
    transaction; when a rebuild has switched them meanwhile, all is asked again. Raises NoStatisticsError, RedisError.
    """
    keys = keys or live_keys(client, pipeline)
    while True:
        pipe = client.pipeline(transaction=True)
        _queue(pipe, pipeline, queue, keys)
        live, *replies = pipe.execute()
        asked, keys = keys, _keys(live, pipeline)
        if keys == asked:
            return _answer(keys, replies)


async def read_atomically_async(client: AsyncRedis, pipeline: str, queue: Queue, keys: Keys) -> Answer:
    """`read_atomically` for an event loop."""
    while True:
        pipe = client.pipeline(transaction=True)
        _queue(pipe, pipeline, queue, keys)
        live, *replies = await pipe.execute()
        asked, keys = keys, _keys(live, pipeline)
        if keys == asked:
            return _answer(keys, replies)


def _queue(pipe: Any, pipeline: str, queue: Queue, keys: Keys) -> None:
    pipe.get(live_key(pipeline))
    queue_as_of(pipe, keys, pipeline)
    queue(pipe, keys)


def _keys(prefix: bytes | None, pipeline: str) -> Keys:
    if prefix is None:
        raise NoStatisticsError.of(pipeline)
    return Keys(prefix.decode())


def _answer(keys: Keys, replies: list[Any]) -> Answer:
    return keys, parse_as_of(keys, replies[:AS_OF_REPLIES]), replies[AS_OF_REPLIES:]
