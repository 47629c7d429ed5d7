"""Finds the server that holds a pipeline's keys: the master that Sentinels name, or that of a slot of a Redis Cluster.

All keys of a pipeline carry one hash tag (`sinks.keys`), so on a cluster they are in one slot, and one server runs all
their scripts and transactions. A client needs that server alone, as it does everywhere else.
"""

from __future__ import annotations

import ssl
from typing import Any

from redis import RedisError
from redis.crc import key_slot
from redis.exceptions import AuthenticationError, MovedError, NoPermissionError
from redis.exceptions import ConnectionError as RedisConnectionError

from conf.addresses import RedisServers
from sinks.keys import live_key
from sinks.redis_clients.connections import Address, FixedAddress, MasterConnection, TlsMasterConnection


class SentinelMaster:
    """The master that the Sentinels name."""

    asks_role = True

    def __init__(self, servers: RedisServers, context: ssl.SSLContext | None, timeout_s: float) -> None:
        self._sentinels = servers.url.nodes
        self._name = servers.url.path[0]
        self._options = {
            "username": servers.sentinel_username or None,
            "password": servers.sentinel_password.get_secret_value() or None,
            "socket_timeout": timeout_s,
            "socket_connect_timeout": timeout_s,
        }
        self._context = context

    def find(self) -> Address:
        """Ask the Sentinels in turn, first the one that answered last."""
        complaints = []
        for address in list(self._sentinels):
            try:
                found = _ask(address, self._context, self._options, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._name)
            except (AuthenticationError, NoPermissionError) as error:
                raise type(error)(f"the Sentinel {_shown(address)} refuses: {error}") from error
            except RedisError as error:
                complaints.append(f"{_shown(address)}: {error}")
                continue
            if found:
                self._sentinels = [address, *(other for other in self._sentinels if other != address)]
                return found[0].decode(), int(found[1])
            complaints.append(f"{_shown(address)}: it watches no master {self._name}")
        raise RedisConnectionError(f"no Sentinel names the master {self._name} ({'; '.join(complaints)})")

    def redirect(self, error: RedisError, host: str) -> None:
        """Do nothing: the Sentinels are asked for every connection."""


class SlotMaster:
    """The master of the slot that holds all keys of a pipeline, in a Redis Cluster."""

    asks_role = False  # a replica answers MOVED

    def __init__(self, servers: RedisServers, pipeline: str, context: ssl.SSLContext | None, timeout_s: float) -> None:
        self._servers = servers
        self._timeout_s = timeout_s
        self._nodes = servers.url.nodes
        self._slot = key_slot(live_key(pipeline).encode())
        username, password = servers.credentials
        self._options = {
            "username": username or None,
            "password": password or None,
            "socket_timeout": timeout_s,
            "socket_connect_timeout": timeout_s,
        }
        self._context = context
        self._moved_to: Address | None = None

    def is_elsewhere(self, tag: str) -> bool:
        """Whether keys with this hash tag are in another slot."""
        return key_slot(live_key(tag).encode()) != self._slot

    def of(self, tag: str) -> SlotMaster:
        """The master of the slot of keys with this hash tag."""
        return SlotMaster(self._servers, tag, self._context, self._timeout_s)

    def find(self) -> Address:
        """Return where the last MOVED pointed to, else ask the nodes in turn."""
        moved_to, self._moved_to = self._moved_to, None
        if moved_to is not None:
            return moved_to
        complaints = []
        for address in list(self._nodes):
            try:
                ranges = _ask(address, self._context, self._options, "CLUSTER", "SLOTS")
            except (AuthenticationError, NoPermissionError):
                raise
            except RedisError as error:
                complaints.append(f"{_shown(address)}: {error}")
                continue
            masters = [(first, last, _node(master, address[0])) for first, last, master, *_replicas in ranges]
            for first, last, master in masters:
                if first <= self._slot <= last:
                    self._nodes = list(dict.fromkeys([address, *(node for _, _, node in masters), *self._nodes]))
                    return master
            complaints.append(f"{_shown(address)}: no node has slot {self._slot}")
        raise RedisConnectionError(f"no node of the Redis Cluster names the master ({'; '.join(complaints)})")

    def redirect(self, error: RedisError, host: str) -> None:
        """Follow MOVED."""
        if isinstance(error, MovedError):
            self._moved_to = (error.host or host, error.port)


def _ask(address: Address, context: ssl.SSLContext | None, options: dict[str, Any], *command: str) -> Any:
    """Return the reply of one server to one command, on a connection of its own."""
    finder = FixedAddress(address)
    connection = (
        MasterConnection(finder=finder, **options)
        if context is None
        else TlsMasterConnection(finder=finder, context=context, **options)
    )
    try:
        connection.connect()  # type: ignore[no-untyped-call]
        connection.send_command(*command)  # type: ignore[no-untyped-call]
        return connection.read_response()
    finally:
        connection.disconnect()  # type: ignore[no-untyped-call]


def _node(entry: Any, asked_host: str) -> Address:
    """Address of a node in a reply to CLUSTER SLOTS; without a host, that of the node which was asked."""
    host = entry[0].decode() if entry[0] else ""
    return (host if host not in ("", "?") else asked_host), int(entry[1])


def _shown(address: Address) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
