"""Checks of what the servers need: Java, jars, Kafka, Redis, ports. None of them starts anything."""

from pathlib import Path

from conf.addresses import BootstrapServers, RedisServers
from wetstream.servers import broker, redis_server
from wetstream.servers.check import Check, Needs
from wetstream.servers.embedded import endpoints
from wetstream.servers.errors import ServerError
from wetstream.servers.java.jars import DOWNLOAD_MB, jar_folder, present_jars
from wetstream.servers.java.runtime import find_java
from wetstream.servers.kafka_checks import check_kafka_servers
from wetstream.servers.ports import LOOPBACK, is_free
from wetstream.servers.redis_checks import check_redis_server
from wetstream.servers.redis_server import find_redis
from wetstream.servers.status import ServerStatus, status


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


def check_kafka(home: Path, servers: BootstrapServers | None, needs: Needs) -> Check:
    """Check the configured Kafka, else the embedded broker."""
    if servers is None:
        return _embedded(home, broker.NAME, "Kafka")
    return check_kafka_servers(servers, needs)


def check_redis(home: Path, servers: RedisServers | None, needs: Needs) -> list[Check]:
    """Check the configured Redis, else the embedded server and its program."""
    if servers is not None:
        return [check_redis_server(servers, needs, outside=True)]
    try:
        binary = find_redis()
    except ServerError as error:
        return [_failed("Redis", error)]
    program = Check("Redis program", "ok", f"{binary.product} {binary.version} ({binary.path}, by {binary.origin})")
    server = _embedded(home, redis_server.NAME, "Redis")
    here = _status(home, redis_server.NAME)
    if here.state == "running":
        running = endpoints(home).redis_servers
        if running is not None:
            server = check_redis_server(running, needs, outside=False)
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


def _failed(name: str, error: ServerError) -> Check:
    return Check(name, "fail", error.problem, error.remedy)
