"""Finds the servers of a pipeline: the configured ones, else the embedded ones of its state directory."""

from __future__ import annotations

import resource
from collections.abc import Callable
from dataclasses import dataclass

from redis import Redis, RedisError

from conf.addresses import BootstrapServers, RedisServers
from conf.settings import Settings
from sinks.redis_clients.clients import Patience, open_client
from sinks.redis_clients.refusals import explain_refusal
from wetstream.servers import embedded
from wetstream.servers.errors import ServerError

OPEN_FILES = 4096
LEAST_OPEN_FILES = 256


@dataclass(frozen=True, slots=True)
class Servers:
    """Addresses of broker and Redis; `started`: embedded servers that this call started."""

    bootstrap_servers: BootstrapServers
    redis: RedisServers
    started: list[str]


def find_servers(settings: Settings, *, start: bool = False, log: Callable[[str], None] = print) -> Servers:
    """Return the servers to use; with `start`, embedded ones that are needed and do not run are started.

    Raises ServerError when one is neither configured nor running.
    """
    kafka, redis = not settings.kafka.bootstrap_servers, not settings.redis.url
    if start and (kafka or redis):
        running = start_embedded(settings, kafka=kafka, redis=redis, log=log)
    else:
        running = embedded.endpoints(settings.home)
    bootstrap_servers = settings.bootstrap_servers or running.bootstrap_servers
    redis_servers = settings.redis_servers or running.redis_servers
    missing = [name for name, found in (("Kafka", bootstrap_servers), ("Redis", redis_servers)) if not found]
    if missing:
        raise ServerError(
            f"no {' and no '.join(missing)}: the embedded servers of {settings.home} do not run",
            "Start them with `wetstream up`, or name servers of yours (kafka.bootstrap_servers, redis.url).",
        )
    assert bootstrap_servers is not None and redis_servers is not None
    return Servers(bootstrap_servers, redis_servers, running.started)


def find_servers_for_files(settings: Settings, *, log: Callable[[str], None] = print) -> Servers:
    """Find the servers of a replay from files: Redis, started if embedded; Kafka only if it runs (else "")."""
    started: list[str] = []
    if not settings.redis.url:
        started = start_embedded(settings, kafka=False, redis=True, log=log).started
    running = embedded.endpoints(settings.home)
    bootstrap_servers = settings.bootstrap_servers or running.bootstrap_servers or BootstrapServers("")
    return Servers(bootstrap_servers, find_redis(settings), started)


def find_kafka(settings: Settings) -> BootstrapServers | None:
    """The configured Kafka, else the embedded broker if it runs; starts nothing."""
    return settings.bootstrap_servers or embedded.endpoints(settings.home).bootstrap_servers


def find_redis(settings: Settings) -> RedisServers:
    """Return the Redis of a pipeline, for commands that only read statistics. Raises ServerError."""
    servers = settings.redis_servers or embedded.endpoints(settings.home).redis_servers
    if servers is None:
        raise ServerError(
            f"no Redis: the embedded servers of {settings.home} do not run",
            "Start them with `wetstream up`, or name a server of yours (redis.url).",
        )
    return servers


def start_embedded(settings: Settings, *, kafka: bool, redis: bool, log: Callable[[str], None]) -> embedded.Endpoints:
    """Start the embedded servers with the settings of the pipeline."""
    return embedded.up(settings.home, kafka=kafka, redis=redis, log=log, heap_mb=settings.embedded.kafka_heap_mb)


def require_open_files(needed: int = OPEN_FILES) -> None:
    """Raise the limit of open files as far as this process may; Spark and the embedded servers inherit it.

    Raises:
        ServerError: The limit stays below what Spark, Kafka's client and the table need.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    if wanted < LEAST_OPEN_FILES:
        raise ServerError(
            f"this process may open only {wanted} files, which is too few for Spark and Kafka",
            "Raise the limit (`ulimit -n 4096`, or the limits of your container) and run the same command again.",
        )


def open_redis(servers: RedisServers, pipeline: str, *, timeout_s: float = 60, retries: int = 10) -> Redis:
    """Open a client and see the server answer.

    Args:
        servers: Redis.
        pipeline: Name of the pipeline that the client is for.
        timeout_s: How long a command waits for an answer.
        retries: How often a command is repeated on a new connection before it fails.

    Raises:
        ServerError: Redis does not answer.
        CredentialsError: A file of a certificate or key cannot be used.
    """
    patience = Patience(answer_s=timeout_s, connect_s=min(5, timeout_s), retries=retries)
    client = open_client(servers, pipeline, patience)
    try:
        client.ping()
    except RedisError as error:
        cause = explain_refusal(error, servers)
        raise ServerError(
            f"Redis at {servers} does not answer: {cause or error}",
            "Start it (`wetstream up` for the embedded one), or correct redis.url or redis.client; `wetstream doctor` "
            "looks closer.",
        ) from error
    return client
