"""Redis clients that give up soon: clients get a clear answer, and the server tries again by itself."""

from __future__ import annotations

from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from conf.addresses import RedisServers
from sinks.redis_clients.clients import Patience, open_async_client, open_client

PATIENCE = Patience(answer_s=5, connect_s=1, retries=1, backs_off=False)


def connect(servers: RedisServers, pipeline: str) -> Redis:
    """Return a client for threads. Raises RedisError when Redis does not answer, CredentialsError."""
    client = open_client(servers, pipeline, PATIENCE)
    client.ping()
    return client


class AsyncRedisClient:
    """A client for the event loop, where waiting for Redis wakes no thread."""

    def __init__(self, pipeline: str) -> None:
        self._pipeline = pipeline
        self._servers: RedisServers | None = None
        self._client: AsyncRedis | None = None

    async def at(self, servers: RedisServers) -> AsyncRedis:
        """Return the client for a Redis; the same one as long as the Redis is the same."""
        if self._client is None or servers != self._servers:
            await self.close()
            self._servers = servers
            self._client = open_async_client(servers, self._pipeline, PATIENCE)
        return self._client

    async def close(self) -> None:
        """Close all connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()
