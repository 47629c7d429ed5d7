"""The status of the servers of a state directory."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from wetstream.servers import broker, redis_server
from wetstream.servers.disk_usage import stored_bytes
from wetstream.servers.process import is_alive
from wetstream.servers.state import NAMES, ServerRecord, data_folder, password_in_force, read_record

ANSWERS: dict[str, Callable[[int, str], bool]] = {broker.NAME: broker.answers, redis_server.NAME: redis_server.answers}
"""By server: whether the one on a port is serving, given its password."""


@dataclass(frozen=True)
class ServerStatus:
    """The status of one server.

    `stale`: recorded, but its process is gone (it crashed). `unresponsive`: it is running and does not reply.
    """

    name: str
    state: Literal["running", "stopped", "stale", "unresponsive"]
    pid: int | None = None
    port: int | None = None
    uptime_s: float | None = None
    memory_mb: float | None = None
    data_bytes: int = 0


def answers(home: Path, record: ServerRecord) -> bool:
    """Return whether the recorded server is serving."""
    return ANSWERS[record.name](record.port, password_in_force(home, record))


def status(home: Path) -> list[ServerStatus]:
    """Return the status of every server, running or not; changes nothing."""
    return [_status(home.absolute(), name) for name in NAMES]


def _status(home: Path, name: str) -> ServerStatus:
    data_bytes = stored_bytes(data_folder(home, name))
    record = read_record(home, name)
    if record is None:
        return ServerStatus(name, "stopped", data_bytes=data_bytes)
    process = record.process() if is_alive(record) else None
    try:
        if process:
            uptime_s, memory_mb = time.time() - process.create_time(), process.memory_info().rss / 1e6
            state: Literal["running", "unresponsive"] = "running" if answers(home, record) else "unresponsive"
            return ServerStatus(name, state, record.pid, record.port, uptime_s, memory_mb, data_bytes)
    except psutil.NoSuchProcess:
        pass
    return ServerStatus(name, "stale", record.pid, record.port, data_bytes=data_bytes)
