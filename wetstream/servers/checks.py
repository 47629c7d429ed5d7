"""Checks of what the servers need: Java, jars, Kafka, Redis, ports. None of them starts anything."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from conf.addresses import BootstrapServers, RedisUrl
from conf.redaction import redact
from wetstream.servers import broker, redis_server
from wetstream.servers.embedded import endpoints
from wetstream.servers.errors import ServerError
from wetstream.servers.java.jars import DOWNLOAD_MB, jar_folder, present_jars
from wetstream.servers.java.runtime import find_java
from wetstream.servers.kafka_probe import count_brokers
from wetstream.servers.ports import LOOPBACK, is_free
from wetstream.servers.redis_server import find_redis
from wetstream.servers.status import ServerStatus, status

_TIMEOUT_S = 3.0


@dataclass(frozen=True)
class Check:
    """The result of one check; `warn` and `fail` carry a remedy.

    `warn`: it works, but slowly or less safely. `fail`: something will not work.
    """

    name: str
    level: Literal["ok", "warn", "fail"]
    detail: str
    remedy: str = ""

    @property
    def ok(self) -> bool:
        """Whether wetstream can work with this."""
        return self.level != "fail"


def check_java(home: Path) -> Check:
    """Check for a Java that runs Spark and the broker."""
    try:
        java = find_java(home)
    except ServerError as error:
        return _failed("Java", error)
    return Check("Java", "ok", f"{java.major} ({java.executable}, by {java.origin})")


def check_jars(cache: Path) -> Check:
    """Check for the jars of the broker and of Spark's connector."""
    folder = jar_folder(cache)
    try:
        if present_jars(cache):
            return Check("Jars", "ok", f"complete in {folder}")
    except ServerError as error:
        return _failed("Jars", error)
    state = "incomplete in" if folder.exists() else "not yet in"
    return Check("Jars", "ok", f"{state} {folder}: the first start fetches about {DOWNLOAD_MB} MB")


def check_kafka(home: Path, bootstrap_servers: BootstrapServers | None) -> Check:
    """Check the configured Kafka, else the embedded broker."""
    if bootstrap_servers is None:
        return _embedded(home, broker.NAME, "Kafka")
    complaints = []
    for server in bootstrap_servers.addresses.split(","):
        host, _, port = server.strip().rpartition(":")
        try:
            brokers = _count_brokers(bootstrap_servers, host.strip("[]"), int(port))
        except (OSError, ValueError) as error:
            complaints.append(f"{server.strip()}: {redact(str(error))}")
            continue
        if brokers:
            return Check("Kafka", "ok", f"{server.strip()} answers, brokers: {brokers}")
        complaints.append(f"{server.strip()}: no broker of it serves yet")
    remedy = (
        "Start that Kafka, correct kafka.bootstrap_servers (HOST:PORT,...), or unset it to use the embedded broker."
    )
    return Check("Kafka", "fail", "; ".join(complaints), remedy)


def _count_brokers(servers: BootstrapServers, host: str, port: int) -> int:
    protocol, mechanism = servers.security_protocol, servers.sasl_mechanism
    if protocol == "PLAINTEXT" or (protocol, mechanism) == ("SASL_PLAINTEXT", "PLAIN"):
        return count_brokers(host, port, servers.username, servers.password.get_secret_value(), timeout_s=_TIMEOUT_S)
    # Imported here: it takes longer than all other checks.
    from kafka import KafkaAdminClient
    from kafka.errors import KafkaError

    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    options = replace(servers, addresses=address).client_options()
    try:
        client = KafkaAdminClient(**options, bootstrap_timeout_ms=int(_TIMEOUT_S * 1000))
        try:
            return len(client.describe_cluster()["brokers"])
        finally:
            client.close()
    except KafkaError as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error


def check_redis(home: Path, redis_url: RedisUrl | None) -> list[Check]:
    """Check the configured Redis, else the embedded server and its program."""
    if redis_url is not None:
        return [_answering_redis(redis_url, outside=True)]
    try:
        binary = find_redis()
    except ServerError as error:
        return [_failed("Redis", error)]
    program = Check("Redis program", "ok", f"{binary.product} {binary.version} ({binary.path}, by {binary.origin})")
    server = _embedded(home, redis_server.NAME, "Redis")
    here = _status(home, redis_server.NAME)
    if here.state == "running":
        url = endpoints(home).redis_url
        server = _answering_redis(url, outside=False) if url else server
    return [program, server]


def check_ports(home: Path, *, kafka: bool, redis: bool) -> Check:
    """Check the default ports of the embedded servers that are needed; where they are taken, free ones are used."""
    asked = {broker.NAME: kafka, redis_server.NAME: redis}
    usual = {
        broker.NAME: (broker.USUAL_PORT, broker.USUAL_CONTROLLER_PORT),
        redis_server.NAME: (redis_server.USUAL_PORT,),
    }
    wanted = [
        port for here in status(home) if here.state == "stopped" and asked[here.name] for port in usual[here.name]
    ]
    taken = [str(port) for port in wanted if not is_free(port)]
    if taken:
        return Check("Ports", "ok", f"{', '.join(taken)} taken by others: free ones are used instead")
    return Check("Ports", "ok", f"{', '.join(map(str, wanted))} free" if wanted else "no further ones needed")


def _embedded(home: Path, name: str, title: str) -> Check:
    server = _status(home, name)
    match server.state:
        case "running":
            return Check(title, "ok", f"embedded server answers on {LOOPBACK}:{server.port} (pid {server.pid})")
        case "stopped":
            return Check(title, "ok", "embedded server, not up: wetstream up starts it")
        case "stale":
            detail = f"the embedded server (pid {server.pid}) ended without `down`"
            return Check(title, "warn", detail, f"wetstream up starts it again on its data; logs: {home / name}")
        case "unresponsive":
            detail = f"the embedded server (pid {server.pid}) runs but does not answer on {LOOPBACK}:{server.port}"
            return Check(title, "fail", detail, f"wetstream down, then wetstream up; logs: {home / name}")


def _status(home: Path, name: str) -> ServerStatus:
    return next(server for server in status(home) if server.name == name)


def _answering_redis(url: RedisUrl, *, outside: bool) -> Check:
    # Imported here: it takes longer than all other checks.
    import redis

    try:
        with redis.Redis.from_url(
            url.get_secret_value(), socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S
        ) as client:
            info = client.info("all")
    except (redis.RedisError, OSError, ValueError) as error:
        remedy = "Start that Redis, correct redis.url (redis://HOST:PORT/DB), or unset it."
        return Check("Redis", "fail", f"the server of redis.url does not answer: {redact(str(error))}", remedy)
    name = f"Valkey {info['valkey_version']}" if "valkey_version" in info else f"Redis {info.get('redis_version', '?')}"
    policy, append_only = info.get("maxmemory_policy", "?"), bool(info.get("aof_enabled"))
    detail = f"{name}, maxmemory-policy {policy}, append-only file {'on' if append_only else 'off'}"
    if policy != "noeviction":
        remedy = (
            "Counts would be thrown out to make room: CONFIG SET maxmemory-policy noeviction (and in its redis.conf)."
        )
        return Check("Redis", "fail", detail, remedy)
    if outside and not append_only:
        remedy = "It loses its data when it ends; they are then rebuilt from the documents. CONFIG SET appendonly yes"
        return Check("Redis", "warn", detail, remedy)
    return Check("Redis", "ok", detail)


def _failed(name: str, error: ServerError) -> Check:
    return Check(name, "fail", error.problem, error.remedy)
