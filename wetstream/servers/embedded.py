"""The embedded servers of one state directory: `up`, `down`, `status`."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from conf.addresses import BootstrapServers, RedisServers, RedisUrl
from wetstream.servers import broker, redis_server
from wetstream.servers.errors import ServerError
from wetstream.servers.java.jars import default_cache, obtain_jars
from wetstream.servers.java.runtime import find_java
from wetstream.servers.locks import exclusive
from wetstream.servers.ports import LOOPBACK, is_free
from wetstream.servers.process import END_LIMIT_S, Launch, is_alive, log_excerpt, start, stop, wait_until_it_answers
from wetstream.servers.state import (
    NAMES,
    ServerRecord,
    password_in_force,
    prepare_home,
    read_record,
    remove_record,
    server_folder,
    write_record,
)
from wetstream.servers.status import ServerStatus, answers, status

__all__ = ["Endpoints", "ServerStatus", "down", "endpoints", "status", "up"]

START_LIMIT_S = 120.0
"""How long a server may take to start; after a crash Kafka first recovers its logs."""

_ATTEMPTS = 3


@dataclass(frozen=True)
class Endpoints:
    """Addresses of the embedded servers; None for one that was not requested or is not running."""

    bootstrap_servers: BootstrapServers | None
    redis_url: RedisUrl | None
    started: list[str]
    """Names of the servers that this call started; the others were running."""

    @property
    def redis_servers(self) -> RedisServers | None:
        """The embedded Redis, as clients take it."""
        return None if self.redis_url is None else RedisServers(self.redis_url)


def up(
    home: Path,
    *,
    kafka: bool = True,
    redis: bool = True,
    log: Callable[[str], None] = print,
    heap_mb: int = broker.HEAP_MB,
    appendfsync: str = "everysec",
    jar_cache: Path | None = None,
    start_limit_s: float = START_LIMIT_S,
) -> Endpoints:
    """Start the requested servers that are not running; a crashed one restarts on its data.

    Returns when all are serving. If one cannot start, everything that this call started is stopped again.

    Raises:
        ServerError: A server cannot start; the message holds the end of its log.
        UnsafeFolderError: The state directory is not this user's alone.
    """
    home = home.absolute()

    def prepare(name: str) -> Launch:
        try:
            if name == redis_server.NAME:
                return redis_server.prepare(home, redis_server.find_redis(), appendfsync)
            java = find_java(home)
            return broker.prepare(home, java, obtain_jars(jar_cache or default_cache(), java, log), heap_mb)
        except OSError as error:
            raise _unwritable(home, error) from error

    # Redis first: it loads its data while the broker, which takes longer, is prepared.
    wanted = [name for name, asked in ((redis_server.NAME, redis), (broker.NAME, kafka)) if asked]
    with _up_lock(home, log):
        records = {name: _running(home, name, log) for name in wanted}
        missing = [name for name in wanted if records[name] is None]
        try:
            launches = {name: _launch(home, prepare(name)) for name in missing}
            for name in missing:
                _serve(home, launches[name], prepare, start_limit_s, log)
            for record in records.values():
                if record:
                    _check_that_it_answers(home, record, log)
        except BaseException:
            for name in missing:
                _stop_recorded(home, name, END_LIMIT_S)
            raise
    here = endpoints(home)
    return Endpoints(here.bootstrap_servers if kafka else None, here.redis_url if redis else None, missing)


def down(home: Path, log: Callable[[str], None] = print, end_limit_s: float = END_LIMIT_S) -> list[str]:
    """Stop the servers that `up` started here and nothing else, keeping their data. Returns their names."""
    home = home.absolute()
    if not home.exists():
        return []
    ended = []
    with _up_lock(home, log):
        for name in NAMES:
            record = _running(home, name, log)
            if record:
                log(f"{name}: {_stop_recorded(home, name, end_limit_s)} (pid {record.pid})")
                ended.append(name)
    return ended


def endpoints(home: Path) -> Endpoints:
    """Return the addresses of the servers that are running; starts nothing.

    Raises:
        ServerError: A server's password cannot be read.
    """
    home = home.absolute()
    records = {name: read_record(home, name) for name in NAMES}
    running = {name: record for name, record in records.items() if record and is_alive(record)}
    kafka, redis = running.get(broker.NAME), running.get(redis_server.NAME)
    return Endpoints(
        bootstrap_servers=broker.clients(kafka.port, password_in_force(home, kafka)) if kafka else None,
        redis_url=redis_server.clients(redis.port, password_in_force(home, redis)) if redis else None,
        started=[],
    )


def _up_lock(home: Path, log: Callable[[str], None]) -> AbstractContextManager[None]:
    try:
        prepare_home(home)
        (home / "up.lock").touch(mode=0o600)
    except OSError as error:
        raise _unwritable(home, error) from error
    return exclusive(home / "up.lock", lambda: log(f"waiting for another process that works on {home}"))


def _unwritable(home: Path, error: OSError) -> ServerError:
    return ServerError(
        f"The state directory {home} cannot be written ({error})", "Name another one with WETSTREAM_HOME, or make room."
    )


def _running(home: Path, name: str, log: Callable[[str], None]) -> ServerRecord | None:
    record = read_record(home, name)
    if record and not is_alive(record):
        log(
            f"{name}: process {record.pid}, started {record.started_at}, has ended without `down` "
            f"(its logs are in {server_folder(home, name)}); its record is removed"
        )
        remove_record(home, name)
        return None
    return record


def _launch(home: Path, launch: Launch) -> Launch:
    write_record(home, start(launch))
    return launch


def _serve(
    home: Path, launch: Launch, prepare: Callable[[str], Launch], limit_s: float, log: Callable[[str], None]
) -> None:
    """Wait for the server; if another program took its port meanwhile, restart it on another one."""
    for attempt in range(1, _ATTEMPTS + 1):
        record = read_record(home, launch.name)
        if record is None:
            raise ServerError(f"{launch.name}: something else removed its record in {launch.folder}", "Try again.")
        try:
            wait_until_it_answers(record, launch.answers, limit_s, log)
        except ServerError as error:
            taken = [port for port in launch.ports if not is_free(port)]
            if attempt == _ATTEMPTS or is_alive(record) or not taken:
                raise ServerError(error.problem, "Its log says why:", log_excerpt(launch)) from error
            log(f"{launch.name}: port {taken[0]} was taken meanwhile; starting on another one")
            launch = _launch(home, prepare(launch.name))
        else:
            log(f"{launch.name}: running on {LOOPBACK}:{record.port} (pid {record.pid})")
            return


def _check_that_it_answers(home: Path, record: ServerRecord, log: Callable[[str], None]) -> None:
    try:
        wait_until_it_answers(record, lambda: answers(home, record), END_LIMIT_S, log)
    except ServerError as error:
        raise ServerError(error.problem, "Restart it: wetstream down, then wetstream up.") from error
    if not record.asks_password:
        log(
            f"{record.name}: it was started by an older wetstream and lets in every user of this machine; "
            "`wetstream down`, then `wetstream up` closes it"
        )


def _stop_recorded(home: Path, name: str, limit_s: float) -> str:
    record = read_record(home, name)
    how = stop(record, limit_s) if record else "was not started"
    remove_record(home, name)
    return how
