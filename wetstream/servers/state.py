"""What is recorded of a server in the state directory.

- `<home>/up.lock`: held while servers are started or ended
- `<home>/<name>/server.json`: the running server (absent: none runs)
- `<home>/<name>/ports.json`: the ports of the last start, kept
- `<home>/<name>/data.lock`: held by the server itself for as long as it lives
- `<home>/<name>/data/`: what it stores
"""

import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

NAMES = ("kafka", "redis")

# psutil computes the start time from the boot time, to 0.01 s.
_SAME_START_S = 1.0


@dataclass(frozen=True)
class ServerRecord:
    """One server that `up` started."""

    name: str
    pid: int
    process_created_s: float
    """Start time of the process in Unix seconds, as psutil tells it: a reused pid has another one."""
    port: int
    command: list[str]
    started_at: str

    @classmethod
    def of_process(cls, name: str, pid: int, port: int, command: list[str]) -> "ServerRecord":
        """The record of a process that was just started. Raises psutil.NoSuchProcess if it has ended."""
        started_at = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        return cls(name, pid, psutil.Process(pid).create_time(), port, command, started_at)

    def process(self) -> psutil.Process | None:
        """The living process that this record means; None if it ended or its pid belongs to another by now."""
        try:
            process = psutil.Process(self.pid)
            if process.status() == psutil.STATUS_ZOMBIE:
                return None
            if abs(process.create_time() - self.process_created_s) < _SAME_START_S:
                return process
            # A clock that was set moves all start times. The command names this state directory: nobody else has it.
            return process if process.cmdline() == self.command else None
        except psutil.NoSuchProcess:
            return None


def server_folder(home: Path, name: str) -> Path:
    """Where everything of one server lies."""
    return home / name


def data_folder(home: Path, name: str) -> Path:
    """Where a server stores its data; outlives `down`."""
    return server_folder(home, name) / "data"


def read_record(home: Path, name: str) -> ServerRecord | None:
    """The record, be its process alive or not. An unreadable one counts as none: data.lock still guards the data."""
    try:
        return ServerRecord(**json.loads((server_folder(home, name) / "server.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None


def write_record(home: Path, record: ServerRecord) -> None:
    """Record a server that was started."""
    _write(server_folder(home, record.name) / "server.json", asdict(record))


def remove_record(home: Path, name: str) -> None:
    """Forget a server that has ended."""
    (server_folder(home, name) / "server.json").unlink(missing_ok=True)


def read_ports(home: Path, name: str) -> dict[str, int]:
    """The ports of the last start by their use; empty if there was none."""
    try:
        ports = json.loads((server_folder(home, name) / "ports.json").read_text())
        return {use: int(port) for use, port in ports.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def write_ports(home: Path, name: str, ports: dict[str, int]) -> None:
    """Keep the ports for the next start."""
    _write(server_folder(home, name) / "ports.json", ports)


def _write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    fresh.write_text(json.dumps(content, indent=1))
    fresh.replace(path)
