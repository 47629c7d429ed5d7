"""Clients of Redis, for threads and for event loops: the one place where connections are made.

A client belongs to one pipeline, whose keys decide which server of a Redis Cluster it talks to.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, replace
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from redis import ConnectionPool, Redis, UnixDomainSocketConnection
from redis.asyncio import ConnectionPool as AsyncConnectionPool
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio.connection import UnixDomainSocketConnection as AsyncUnixDomainSocketConnection
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import ExponentialWithJitterBackoff, NoBackoff
from redis.maint_notifications import MaintNotificationsConfig
from redis.retry import Retry

from conf.addresses import RedisServers, TlsFiles
from sinks.redis_clients.connections import (
    AsyncMasterConnection,
    AsyncTlsMasterConnection,
    FixedAddress,
    MasterConnection,
    MasterFinder,
    TlsMasterConnection,
)
from sinks.redis_clients.masters import SentinelMaster, SlotMaster


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a client waits.

    Attributes:
        answer_s: For the answer to a command.
        connect_s: For a connection.
        retries: How often a command is repeated on a new connection before it fails.
        backs_off: Whether it waits between two attempts, ever longer, up to two seconds.
    """

    answer_s: float
    connect_s: float
    retries: int
    backs_off: bool = True


def open_client(servers: RedisServers, pipeline: str, patience: Patience) -> Redis:
    """Return a client for threads, which connects when it is first used.

    Raises:
        CredentialsError: A file of a certificate or key cannot be used.
    """
    kinds = _Kinds(Retry, MasterConnection, TlsMasterConnection, UnixDomainSocketConnection)
    options = _pool_options(servers, pipeline, patience, kinds)
    return Redis.from_pool(ConnectionPool(**options, health_check_interval=30))


def open_async_client(servers: RedisServers, pipeline: str, patience: Patience) -> AsyncRedis:
    """Return a client for one event loop, which connects when it is first used.

    Raises:
        CredentialsError: A file of a certificate or key cannot be used.
    """
    kinds = _Kinds(AsyncRetry, AsyncMasterConnection, AsyncTlsMasterConnection, AsyncUnixDomainSocketConnection)
    return AsyncRedis.from_pool(AsyncConnectionPool(**_pool_options(servers, pipeline, patience, kinds)))


class _Kinds(NamedTuple):
    """What the clients for threads and for event loops are made of."""

    retry: Any
    plain: Any
    encrypted: Any
    unix: Any


def _pool_options(servers: RedisServers, pipeline: str, patience: Patience, kinds: _Kinds) -> dict[str, Any]:
    backoff = ExponentialWithJitterBackoff(cap=2) if patience.backs_off else NoBackoff()
    options = _options(servers, patience) | {"retry": kinds.retry(backoff, patience.retries)}
    if not servers.url.nodes:
        return options | {"connection_class": kinds.unix}
    context = tls_context(servers)
    options["finder"] = _finder(servers, pipeline, context, patience)
    if context is None:
        return options | {"connection_class": kinds.plain}
    return options | {"connection_class": kinds.encrypted, "context": context}


def tls_files(servers: RedisServers) -> TlsFiles:
    """Return the files of a client's TLS: those of `redis.client`, else those that options of the URL name."""
    options = _url_options(servers)
    files = servers.tls
    return replace(
        files,
        ca_file=files.ca_file or options.get("ssl_ca_certs", ""),
        certificate_file=files.certificate_file or options.get("ssl_certfile", ""),
        key_file=files.key_file or options.get("ssl_keyfile", ""),
    )


def tls_context(servers: RedisServers) -> ssl.SSLContext | None:
    """Return how connections are encrypted and servers checked; None: they are not.

    Raises:
        CredentialsError: A file cannot be used.
    """
    if not servers.url.has_tls:
        return None
    context, options = tls_files(servers).context(), _url_options(servers)
    if options.get("ssl_check_hostname", "true").lower() in ("false", "no", "0", "f", "n"):
        context.check_hostname = False
    if options.get("ssl_cert_reqs", "required").lower() == "none":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _finder(servers: RedisServers, pipeline: str, context: ssl.SSLContext | None, patience: Patience) -> MasterFinder:
    match servers.url.topology:
        case "sentinel":
            return SentinelMaster(servers, context, patience.connect_s)
        case "cluster":
            return SlotMaster(servers, pipeline, context, patience.connect_s)
        case "single":
            return FixedAddress(servers.url.nodes[0])


def _options(servers: RedisServers, patience: Patience) -> dict[str, Any]:
    username, password = servers.credentials
    options: dict[str, Any] = {
        "username": username or None,
        "password": password or None,
        "db": _database(servers),
        "socket_timeout": patience.answer_s,
        "socket_connect_timeout": patience.connect_s,
    }
    url_options = _url_options(servers)
    if "protocol" in url_options:
        options["protocol"] = int(url_options["protocol"])
    if not servers.url.nodes:
        return options | {"path": _address(servers)}
    # Announcements of Redis Enterprise, which need one more permission.
    return options | {"maint_notifications_config": MaintNotificationsConfig(enabled=False)}


def _database(servers: RedisServers) -> int:
    path = servers.url.path[1:] if servers.url.topology == "sentinel" else servers.url.path
    in_path = path[0] if path and servers.url.nodes else ""
    return int(in_path or _url_options(servers).get("db", "0"))


def _address(servers: RedisServers) -> str:
    """Path of a Unix socket."""
    return "/" + "/".join(servers.url.path)


def _url_options(servers: RedisServers) -> dict[str, str]:
    return dict(parse_qsl(servers.url.get_secret_value().partition("?")[2]))
