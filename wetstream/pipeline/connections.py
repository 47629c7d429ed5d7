"""Finds the servers of a pipeline: the configured ones, else the embedded ones of its state directory."""

from __future__ import annotations

import resource
from collections.abc import Callable
from dataclasses import dataclass

from redis import Redis, RedisError
from redis.backoff import ExponentialWithJitterBackoff
from redis.retry import Retry

from conf.addresses import BootstrapServers, RedisUrl
from conf.settings import Settings
from wetstream.servers import embedded
from wetstream.servers.errors import ServerError

OPEN_FILES = 4096
LEAST_OPEN_FILES = 256


@dataclass(frozen=True, slots=True)
class Servers:
    """Addresses of broker and Redis; `started`: embedded servers that this call started."""

    bootstrap_servers: BootstrapServers
    redis_url: RedisUrl
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
    redis_url = settings.redis.url or running.redis_url
    missing = [name for name, found in (("Kafka", bootstrap_servers), ("Redis", redis_url)) if not found]
    if missing:
        raise ServerError(
            f"no {' and no '.join(missing)}: the embedded servers of {settings.home} do not run",
            "Start them with `wetstream up`, or name servers of yours (kafka.bootstrap_servers, redis.url).",
        )
    assert bootstrap_servers is not None and redis_url is not None
    return Servers(bootstrap_servers, redis_url, running.started)


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


def find_redis(settings: Settings) -> RedisUrl:
    """Return the address of Redis, for commands that only read statistics. Raises ServerError."""
    url = settings.redis.url or embedded.endpoints(settings.home).redis_url
    if url is None:
        raise ServerError(
            f"no Redis: the embedded servers of {settings.home} do not run",
            "Start them with `wetstream up`, or name a server of yours (redis.url).",
        )
    return url


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


def open_redis(url: RedisUrl, *, timeout_s: float = 60, retries: int = 10) -> Redis:
    """Open a client and see the server answer.

    Args:
        url: Address of Redis.
        timeout_s: How long a command waits for an answer.
        retries: How often a command is repeated on a new connection before it fails.

    Raises:
        ServerError: Redis does not answer.
    """
    client = Redis.from_url(
        url.get_secret_value(),
        socket_timeout=timeout_s,
        socket_connect_timeout=min(5, timeout_s),
        health_check_interval=30,
        retry=Retry(ExponentialWithJitterBackoff(cap=2), retries),
    )
    try:
        client.ping()
    except RedisError as error:
        raise ServerError(
            f"Redis at {url} does not answer: {error}",
            "Start it (`wetstream up` for the embedded one) or correct redis.url.",
        ) from error
    return client
