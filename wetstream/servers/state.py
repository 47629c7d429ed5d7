"""The state directory: what it records of each server, and who may use it.

- `<home>/up.lock`: held while servers are started or ended
- `<home>/<name>/server.json`: the running server (absent: none is running)
- `<home>/<name>/ports.json`: the ports of the last start, kept
- `<home>/<name>/data.lock`: held by the server itself for as long as it lives
- `<home>/<name>/password`: the password of clients (mode 0600), kept
- `<home>/<name>/data/`: what it stores
"""

import json
import os
import secrets
import stat
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from conf.private_folders import UnsafeFolderError, check_owner, make_private, write_private
from conf.redaction import register_secret
from wetstream.servers.errors import ServerError

NAMES = ("kafka", "redis")

# psutil computes the start time from the boot time, to 0.01 s.
_SAME_START_S = 1.0


@dataclass(frozen=True)
class ServerRecord:
    """One server that `up` started."""

    name: str
    pid: int
    process_created_s: float
    """Start time of the process in Unix seconds, from psutil; it tells a reused pid apart."""
    port: int
    command: list[str]
    started_at: str
    asks_password: bool = False
    """Whether it authenticates clients; False for one that an older wetstream started."""

    @classmethod
    def of_process(cls, name: str, pid: int, port: int, command: list[str]) -> "ServerRecord":
        """Return the record of a process that was just started. Raises psutil.NoSuchProcess if it has exited."""
        started_at = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        return cls(name, pid, psutil.Process(pid).create_time(), port, command, started_at, asks_password=True)

    def process(self) -> psutil.Process | None:
        """Return the running process of this record; None if it has exited, or its pid was reused."""
        try:
            process = psutil.Process(self.pid)
            if process.status() == psutil.STATUS_ZOMBIE:
                return None
            if abs(process.create_time() - self.process_created_s) < _SAME_START_S:
                return process
            # Setting the clock shifts all start times. The command line names this state directory, so it is unique.
            return process if process.cmdline() == self.command else None
        except psutil.NoSuchProcess:
            return None


def prepare_home(home: Path) -> None:
    """Create the state directory for this user alone, and close one to others that was created open.

    A folder of the user's that holds other things stays readable as it is; the servers' folders in it are private.

    Raises:
        UnsafeFolderError: It belongs to another user, or others can write there.
        OSError: It cannot be created.
    """
    if not home.exists():
        make_private(home)
        return
    check_owner(home)
    mode = home.stat().st_mode
    if mode & 0o077 and not mode & stat.S_ISVTX and (_was_made_here(home) or not any(home.iterdir())):
        home.chmod(0o700)
    elif mode & 0o022:
        raise UnsafeFolderError(
            f"other users can write to the state directory {home}: take that right away (chmod go-w), or name another "
            "folder (home)"
        )


def _was_made_here(home: Path) -> bool:
    lock = home / "up.lock"
    return lock.is_file() and lock.lstat().st_uid == os.geteuid()


def make_password(home: Path, name: str) -> str:
    """Return the server's password, which is random and made at the first start."""
    path = server_folder(home, name) / "password"
    if not path.exists():
        write_private(path, secrets.token_urlsafe(24))
    check_owner(path)
    path.chmod(0o600)
    return _read_password(path)


def password_in_force(home: Path, record: ServerRecord) -> str:
    """Return the password of a running server; empty if an older wetstream started it without one."""
    if not record.asks_password:
        return ""
    path = server_folder(home, record.name) / "password"
    try:
        return _read_password(path)
    except OSError as error:
        raise ServerError(
            f"{record.name}: its password in {path} cannot be read ({error.strerror})",
            "Run this as the user who started it; if the file is gone: wetstream down, then wetstream up.",
        ) from error


def _read_password(path: Path) -> str:
    password = path.read_text(encoding="utf-8").strip()
    register_secret(password)
    return password


def server_folder(home: Path, name: str) -> Path:
    """Return the folder of one server."""
    return home / name


def data_folder(home: Path, name: str) -> Path:
    """Return the folder of a server's data, which outlives `down`."""
    return server_folder(home, name) / "data"


def read_record(home: Path, name: str) -> ServerRecord | None:
    """Return the record, whether or not its process runs. An unreadable one is none: data.lock guards the data."""
    try:
        return ServerRecord(**json.loads((server_folder(home, name) / "server.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None


def write_record(home: Path, record: ServerRecord) -> None:
    """Record a started server."""
    _write(server_folder(home, record.name) / "server.json", asdict(record))


def remove_record(home: Path, name: str) -> None:
    """Remove the record of a stopped server."""
    (server_folder(home, name) / "server.json").unlink(missing_ok=True)


def read_ports(home: Path, name: str) -> dict[str, int]:
    """Return the ports of the last start by their use; empty if there was none."""
    try:
        ports = json.loads((server_folder(home, name) / "ports.json").read_text())
        return {use: int(port) for use, port in ports.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def write_ports(home: Path, name: str, ports: dict[str, int]) -> None:
    """Record the ports for the next start."""
    _write(server_folder(home, name) / "ports.json", ports)


def _write(path: Path, content: object) -> None:
    write_private(path, json.dumps(content, indent=1))
