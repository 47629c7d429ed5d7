"""Reads several things from Redis at one instant, from the statistics that are live at that instant, in one round trip.

A stream at full speed keeps Redis busy for a chunk of words at a time (setting redis.chunk_words), and every round trip
may have to wait for one; so an answer takes a single one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from redis import Redis, ResponseError
from redis.asyncio import Redis as AsyncRedis

from conf.errors import ExplainedError
from serving.as_of import AS_OF_REPLIES, Instant, parse_as_of, queue_as_of
from sinks.keys import Keys, live_key
from sinks.statistics.errors import CorruptStatisticsError
from sinks.statistics.stored import explain_wrong_type, parse_prefix

# Queues commands on a Redis pipeline.
Queue = Callable[[Any, Keys], object]
# The keys that were live, the instant, and the replies to the queued commands.
Answer = tuple[Keys, Instant, list[Any]]


class NoStatisticsError(ExplainedError):
    """Nothing has been counted for this pipeline yet."""

    @classmethod
    def of(cls, pipeline: str) -> NoStatisticsError:
        """Make the error for a pipeline."""
        return cls(
            f"nothing has been counted for pipeline {pipeline} yet: ingest a source and stream it "
            "(`wetstream run SOURCE`)"
        )


@contextmanager
def corruption_explained(key: str) -> Iterator[None]:
    """Turn errors of reading and parsing a key into CorruptStatisticsError, which names it and the remedy."""
    try:
        yield
    except ResponseError as error:
        raise explain_wrong_type(error, key) from error
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError) as error:
        # (UnicodeDecodeError and JSONDecodeError are ValueErrors, as are msgpack's errors.)
        raise CorruptStatisticsError(
            key, f"holds something that wetstream did not write ({type(error).__name__}: {error})"
        ) from error


def live_keys(client: Redis, pipeline: str) -> Keys:
    """Return the keys that readers use now.

    Raises:
        NoStatisticsError: Nothing has been counted yet.
        CorruptStatisticsError: The live key holds something else.
    """
    with corruption_explained(live_key(pipeline)):
        return _keys(cast("bytes | None", client.get(live_key(pipeline))), pipeline)


def read_atomically(client: Redis, pipeline: str, queue: Queue, keys: Keys | None = None) -> Answer:
    """Execute commands at one instant, together with the state of the numbers.

    Args:
        client: Redis.
        pipeline: Name of the pipeline.
        queue: Queues the commands, given a Redis pipeline and the live keys.
        keys: Keys that were live a moment ago, which saves a round trip. Whether they still are is read in the same
            transaction; if a rebuild has switched them meanwhile, everything is read again.

    Returns:
        The keys that were live, the instant, and the replies to the queued commands.

    Raises:
        NoStatisticsError: Nothing has been counted yet.
        CorruptStatisticsError: Redis holds something that wetstream did not write.
        RedisError: Redis does not answer.
    """
    keys = keys or live_keys(client, pipeline)
    while True:
        pipe = client.pipeline(transaction=True)
        _queue_all(pipe, pipeline, queue, keys)
        with corruption_explained(keys.prefix):
            live, *replies = pipe.execute()
        asked, keys = keys, _keys(live, pipeline)
        if keys == asked:
            return _answer(keys, replies)


async def read_atomically_async(client: AsyncRedis, pipeline: str, queue: Queue, keys: Keys) -> Answer:
    """Like `read_atomically`, in an event loop."""
    while True:
        pipe = client.pipeline(transaction=True)
        _queue_all(pipe, pipeline, queue, keys)
        with corruption_explained(keys.prefix):
            live, *replies = await pipe.execute()
        asked, keys = keys, _keys(live, pipeline)
        if keys == asked:
            return _answer(keys, replies)


def _queue_all(pipe: Any, pipeline: str, queue: Queue, keys: Keys) -> None:
    pipe.get(live_key(pipeline))
    queue_as_of(pipe, keys, pipeline)
    queue(pipe, keys)


def _keys(prefix: bytes | None, pipeline: str) -> Keys:
    if prefix is None:
        raise NoStatisticsError.of(pipeline)
    return Keys(parse_prefix(pipeline, live_key(pipeline), prefix))


def _answer(keys: Keys, replies: list[Any]) -> Answer:
    with corruption_explained(keys.as_of):
        instant = parse_as_of(keys, replies[:AS_OF_REPLIES])
    return keys, instant, replies[AS_OF_REPLIES:]
