"""Clients of the servers that hold the shards of a build: on a Redis Cluster one for each, else the same for all."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from redis import ConnectionPool, Redis
from redis.asyncio import ConnectionPool as AsyncConnectionPool
from redis.asyncio import Redis as AsyncRedis

from sinks.keys import Keys
from sinks.redis_clients.masters import SlotMaster

_Pool = TypeVar("_Pool", bound=ConnectionPool | AsyncConnectionPool)

# By pool of the pipeline's own client, then by hash tag. They live as long as that pool.
_pools: MutableMapping[Any, dict[str, Any]] = WeakKeyDictionary()


def client_of(client: Redis, keys: Keys) -> Redis:
    """Return the client for these keys of the pipeline that `client` belongs to."""
    pool = _pool_of(client.connection_pool, keys)
    return client if pool is client.connection_pool else Redis(connection_pool=pool)


def async_client_of(client: AsyncRedis, keys: Keys) -> AsyncRedis:
    """Like `client_of`, for an event loop."""
    pool = _pool_of(client.connection_pool, keys)
    return client if pool is client.connection_pool else AsyncRedis(connection_pool=pool)


def _pool_of(pool: _Pool, keys: Keys) -> _Pool:
    finder = pool.connection_kwargs.get("finder")
    tag = keys.prefix.partition("{")[2].partition("}")[0]
    if not isinstance(finder, SlotMaster) or not finder.is_elsewhere(tag):
        return pool
    pools = _pools.setdefault(pool, {})
    if tag not in pools:
        options = {**pool.connection_kwargs, "finder": finder.of(tag)}
        pools[tag] = type(pool)(connection_class=pool.connection_class, **options)
    return pools[tag]
