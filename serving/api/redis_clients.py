"""Redis clients that give up soon: clients get a clear answer, and the server tries again by itself."""

from __future__ import annotations

from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from conf.addresses import RedisUrl

TIMEOUT_S = 5.0
CONNECT_TIMEOUT_S = 1.0


def connect(url: RedisUrl) -> Redis:
    """Return a client for threads. Raises RedisError when Redis does not answer."""
    client = Redis.from_url(
        url.get_secret_value(),
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=CONNECT_TIMEOUT_S,
        retry=Retry(NoBackoff(), 1),
    )
    client.ping()
    return client


class AsyncRedisClient:
    """A client for the event loop, where waiting for Redis wakes no thread."""

    def __init__(self) -> None:
        self._url = RedisUrl("")
        self._client: AsyncRedis | None = None

    async def at(self, url: RedisUrl) -> AsyncRedis:
        """Return the client for a URL; the same one as long as the URL is the same."""
        if self._client is None or url != self._url:
            await self.close()
            self._url = url
            self._client = AsyncRedis.from_url(
                url.get_secret_value(),
                socket_timeout=TIMEOUT_S,
                socket_connect_timeout=CONNECT_TIMEOUT_S,
                retry=AsyncRetry(NoBackoff(), 1),
            )
        return self._client

    async def close(self) -> None:
        """Close all connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()
