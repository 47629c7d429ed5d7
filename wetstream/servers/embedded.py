"""The embedded servers of one state directory: `up`, `down`, `status`."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from conf.addresses import BootstrapServers, RedisUrl
from wetstream.servers import broker, redis_server
from wetstream.servers.errors import ServerError
from wetstream.servers.java.jars import default_cache, obtain_jars
from wetstream.servers.java.runtime import find_java
from wetstream.servers.locks import exclusive
from wetstream.servers.ports import LOOPBACK, is_free
from wetstream.servers.process import END_LIMIT_S, Launch, end, is_alive, last_words, start, wait_until_it_answers
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
"""How long a server may take until it serves; after a crash Kafka reads the ends of its logs first."""

_ATTEMPTS = 3


@dataclass(frozen=True)
class Endpoints:
    """Where the servers are. A server that was not asked for, or does not run, has None."""

    bootstrap_servers: BootstrapServers | None
    redis_url: RedisUrl | None
    started: list[str]
    """Names of the servers that this call started; the others ran already."""


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
    """Make the asked-for servers run; one that runs is left alone, one that crashed starts again on the same data.

    Returns when all serve. Raises ServerError, with the end of the server's log, if one cannot be started; then
    whatever this call started is ended again.
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

    # Redis first: it reads its data while the broker, which takes longer, is prepared.
    wanted = [name for name, asked in ((redis_server.NAME, redis), (broker.NAME, kafka)) if asked]
    with _alone(home, log):
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
                _end_recorded(home, name, END_LIMIT_S)
            raise
    here = endpoints(home)
    return Endpoints(here.bootstrap_servers if kafka else None, here.redis_url if redis else None, missing)


def down(home: Path, log: Callable[[str], None] = print, end_limit_s: float = END_LIMIT_S) -> list[str]:
    """End the servers that `up` started here, and nothing else; their data stay. Tells the names of those it ended."""
    home = home.absolute()
    if not home.exists():
        return []
    ended = []
    with _alone(home, log):
        for name in NAMES:
            record = _running(home, name, log)
            if record:
                log(f"{name}: {_end_recorded(home, name, end_limit_s)} (pid {record.pid})")
                ended.append(name)
    return ended


def endpoints(home: Path) -> Endpoints:
    """Where the servers that run now are; starts nothing."""
    home = home.absolute()
    records = {name: read_record(home, name) for name in NAMES}
    running = {name: record for name, record in records.items() if record and is_alive(record)}
    kafka, redis = running.get(broker.NAME), running.get(redis_server.NAME)
    return Endpoints(
        bootstrap_servers=broker.clients(kafka.port, password_in_force(home, kafka)) if kafka else None,
        redis_url=redis_server.clients(redis.port, password_in_force(home, redis)) if redis else None,
        started=[],
    )


def _alone(home: Path, log: Callable[[str], None]) -> AbstractContextManager[None]:
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
    """Wait for the server; where another program took its port meanwhile, start it again on another one."""
    for attempt in range(1, _ATTEMPTS + 1):
        record = read_record(home, launch.name)
        if record is None:
            raise ServerError(f"{launch.name}: something else removed its record in {launch.folder}", "Try again.")
        try:
            wait_until_it_answers(record, launch.answers, limit_s, log)
        except ServerError as error:
            taken = [port for port in launch.ports if not is_free(port)]
            if attempt == _ATTEMPTS or is_alive(record) or not taken:
                raise ServerError(error.problem, "Its log says why:", last_words(launch)) from error
            log(f"{launch.name}: port {taken[0]} was taken meanwhile; starting on another one")
            launch = _launch(home, prepare(launch.name))
        else:
            log(f"{launch.name}: running on {LOOPBACK}:{record.port} (pid {record.pid})")
            return


def _check_that_it_answers(home: Path, record: ServerRecord, log: Callable[[str], None]) -> None:
    try:
        wait_until_it_answers(record, lambda: answers(home, record), END_LIMIT_S, log)
    except ServerError as error:
        raise ServerError(error.problem, "Start it anew: wetstream down, then wetstream up.") from error
    if not record.asks_password:
        log(
            f"{record.name}: it was started by an older wetstream and lets in every user of this machine; "
            "`wetstream down`, then `wetstream up` closes it"
        )


def _end_recorded(home: Path, name: str, limit_s: float) -> str:
    record = read_record(home, name)
    how = end(record, limit_s) if record else "was not started"
    remove_record(home, name)
    return how
