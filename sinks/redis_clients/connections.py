"""Connections that find their server each time they are opened, and leave one that is no longer the master.

redis-py opens a socket in `_connect`, whoever asks for it (a pool, a retry, a command on a lost connection), so that is
where the server is found. A reply that says "not me" (READONLY, MOVED and the like) becomes a lost connection, which
all callers already know how to repeat: Redis has done nothing then.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Any, Protocol

from redis import Connection, RedisError, SSLConnection
from redis.asyncio.connection import Connection as AsyncConnection
from redis.asyncio.connection import SSLConnection as AsyncSSLConnection
from redis.exceptions import (
    AskError,
    ClusterDownError,
    ReadOnlyError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError

Address = tuple[str, int]

NOT_ME = (AskError, ClusterDownError, ReadOnlyError, TryAgainError)  # MovedError is an AskError


class MasterFinder(Protocol):
    """Finds the server to connect to. Many threads use one at once."""

    asks_role: bool
    """Whether what it finds may be a replica that does not say so by itself."""

    def find(self) -> Address:
        """Return host and port. Raises RedisError when the server cannot be found now."""
        ...

    def redirect(self, error: RedisError, host: str) -> None:
        """Take note of the reply by which the server at `host` declined."""
        ...


class FixedAddress:
    """One address, which may lead to another machine after a failover."""

    asks_role = False

    def __init__(self, address: Address) -> None:
        self._address = address

    def find(self) -> Address:
        """Return the address."""
        return self._address

    def redirect(self, error: RedisError, host: str) -> None:
        """Do nothing: the next connection is to the same address."""


class MasterConnection(Connection):
    """A connection to the master that `finder` finds."""

    def __init__(self, *, finder: MasterFinder, **options: Any) -> None:
        self._finder = finder
        super().__init__(**options)  # type: ignore[no-untyped-call]

    def _connect(self) -> Any:
        self.host, self.port = self._finder.find()
        return super()._connect()  # type: ignore[no-untyped-call]

    def on_connect_check_health(self, check_health: bool = True) -> None:
        """Log in, and make sure that this is a master."""
        super().on_connect_check_health(check_health=check_health)
        if self._finder.asks_role:
            self.send_command("ROLE", check_health=False)  # type: ignore[no-untyped-call]
            _check_role(super().read_response(), self)

    def read_response(self, *args: Any, **options: Any) -> Any:
        """Read a reply; one that says that this is not the master closes the connection."""
        try:
            return super().read_response(*args, **options)
        except NOT_ME as error:
            self._finder.redirect(error, self.host)
            self.disconnect()  # type: ignore[no-untyped-call]
            raise _moved(self, error) from error


class TlsMasterConnection(MasterConnection, SSLConnection):
    """The same with TLS."""

    def __init__(self, *, context: ssl.SSLContext, **options: Any) -> None:
        self._context = context
        super().__init__(**options)

    def _wrap_socket_with_ssl(self, sock: Any) -> Any:
        return self._context.wrap_socket(sock, server_hostname=self.host)


class AsyncMasterConnection(AsyncConnection):
    """A connection of an event loop to the master that `finder` finds."""

    def __init__(self, *, finder: MasterFinder, **options: Any) -> None:
        self._finder = finder
        super().__init__(**options)

    async def _connect(self) -> Any:
        find = self._finder.find
        self.host, self.port = find() if isinstance(self._finder, FixedAddress) else await asyncio.to_thread(find)
        return await super()._connect()  # type: ignore[no-untyped-call]

    async def on_connect_check_health(self, check_health: bool = True) -> None:
        """Log in, and make sure that this is a master."""
        await super().on_connect_check_health(check_health=check_health)
        if self._finder.asks_role:
            await self.send_command("ROLE", check_health=False)
            _check_role(await super().read_response(), self)

    async def read_response(self, *args: Any, **options: Any) -> Any:
        """Read a reply; one that says that this is not the master closes the connection."""
        try:
            return await super().read_response(*args, **options)
        except NOT_ME as error:
            self._finder.redirect(error, self.host)
            await self.disconnect()
            raise _moved(self, error) from error


class AsyncTlsMasterConnection(AsyncMasterConnection, AsyncSSLConnection):
    """The same with TLS."""

    def __init__(self, *, context: ssl.SSLContext, **options: Any) -> None:
        super().__init__(**options)
        self.ssl_context.context = context


def _check_role(reply: Any, connection: Any) -> None:
    role = reply[0].decode() if isinstance(reply[0], bytes) else str(reply[0])
    if role != "master":
        raise RedisConnectionError(f"{connection.host}:{connection.port} is a {role}, not the master (a failover?)")


def _moved(connection: Any, error: RedisError) -> RedisConnectionError:
    code = getattr(error, "status_code", "") or ""
    return RedisConnectionError(f"{connection.host}:{connection.port} is not the master now ({code} {error})")
