"""Starts, awaits and stops one server process."""

import os
import re
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from wetstream.servers.errors import ServerError
from wetstream.servers.locks import inheritable_lock
from wetstream.servers.state import ServerRecord

END_LIMIT_S = 30.0
"""How long a server may take to stop before it is killed."""

# A child of a killed server (Redis rewriting its file) holds the lock on the data a moment longer.
LOCK_TIMEOUT_S = 5.0
_LOG_KEPT_BYTES = 10_000_000
_TELLING = re.compile(r"ERROR|FATAL|Exception|[Ee]rror:|Bad file format|# (?!WARNING)")

# Without a reference, Python warns of a running child and can no longer reap it.
_children: dict[int, "subprocess.Popen[bytes]"] = {}


@dataclass(frozen=True)
class Launch:
    """How to start one server. Its working directory is `folder`, so its configuration needs no absolute paths."""

    name: str
    command: list[str]
    folder: Path
    ports: tuple[int, ...]
    """All ports that it listens on; the first is for clients."""
    answers: Callable[[], bool]
    """Whether the server is serving; quick, never raises."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Added to this process's environment."""
    own_log: str = ""
    """Log file that the server writes in `folder`, beside its output in `<name>.out`."""

    @property
    def output(self) -> Path:
        """File that its stdout and stderr go to."""
        return self.folder / f"{self.name}.out"


def start(launch: Launch) -> ServerRecord:
    """Start the process in a session of its own, so that Ctrl-C in this terminal does not reach it.

    It inherits the lock on its data: a second server can never open the data of a running one, whatever happened to the
    records.

    Returns:
        The record of the process.

    Raises:
        ServerError: Another process has the data, or the program does not start.
    """
    lock = inheritable_lock(launch.folder / "data.lock", LOCK_TIMEOUT_S)
    if lock is None:
        raise ServerError(
            f"{launch.name}: {launch.folder / 'data'} is in use by a process that is not recorded there"
            f"{_suspects(launch)}",
            "End that process, or name another state directory with WETSTREAM_HOME.",
        )
    if launch.output.exists() and launch.output.stat().st_size > _LOG_KEPT_BYTES:
        launch.output.replace(launch.output.with_name(f"{launch.output.name}.1"))
    try:
        with lock, os.fdopen(_open_private(launch.output), "ab") as output:
            child = subprocess.Popen(
                launch.command,
                cwd=launch.folder,
                env={**os.environ, **launch.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=[lock.fileno()],
                umask=0o077,
            )
    except OSError as error:
        raise ServerError(
            f"{launch.name}: {launch.command[0]} does not start ({error})", "Install it again."
        ) from error
    _children[child.pid] = child
    return ServerRecord.of_process(launch.name, child.pid, launch.ports[0], launch.command)


def _open_private(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)


def wait_until_it_answers(
    record: ServerRecord, answers: Callable[[], bool], limit_s: float, log: Callable[[str], None]
) -> None:
    """Return once the server is serving. Raises ServerError if it exits first, or takes longer than `limit_s`."""
    started = time.monotonic()
    report_at = started + 10
    while not (answers() and _listens(record)):
        now = time.monotonic()
        if not is_alive(record):
            raise ServerError(f"{record.name}: the server ended while starting", "Try again.")
        if now - started > limit_s:
            raise ServerError(
                f"{record.name}: process {record.pid} did not answer within {limit_s:.0f} s", "Try again."
            )
        if now > report_at:
            report_at = now + 10
            log(f"{record.name}: still waiting after {now - started:.0f} s (it may be reading much data)")
        time.sleep(0.02)


def is_alive(record: ServerRecord) -> bool:
    """Return whether the recorded process is running."""
    for pid, child in list(_children.items()):
        if child.poll() is not None:
            _children.pop(pid, None)
    return record.process() is not None


def stop(record: ServerRecord, limit_s: float = END_LIMIT_S) -> str:
    """Stop the recorded process, and nothing else: SIGTERM, then SIGKILL after `limit_s`. Returns how it went."""
    process = record.process()
    if process is None:
        return "had ended already"
    started = time.monotonic()
    how = "ended"
    try:
        process.terminate()
        if not _has_exited(record, limit_s):
            how = "killed (it did not end by itself)"
            process.kill()
            if not _has_exited(record, END_LIMIT_S):
                raise ServerError(
                    f"{record.name}: process {record.pid} cannot be ended", f"Look at it: ps -l {record.pid}"
                )
    except psutil.NoSuchProcess:
        pass
    except psutil.AccessDenied as error:
        raise ServerError(
            f"{record.name}: process {record.pid} belongs to another user", "Run this as the user who started it."
        ) from error
    return f"{how} after {time.monotonic() - started:.1f} s"


def log_excerpt(launch: Launch) -> str:
    """Return the lines of the logs that look like errors, and the last lines, for an error message."""
    words = ""
    for path in (launch.output, launch.folder / launch.own_log):
        lines = path.read_text(errors="replace").splitlines()[-300:] if path.is_file() else []
        if lines:
            told = [line for line in lines[:-5] if _TELLING.search(line)][-10:] + lines[-5:]
            words += f"\nFrom the end of {path}:\n  " + "\n  ".join(told)
    return words


def _listens(record: ServerRecord) -> bool:
    """Return whether this very process listens on its port, not another server of the same kind."""
    process = record.process()
    try:
        sockets = process.net_connections("tcp") if process else []
    except psutil.Error:
        return False
    return any(socket.status == psutil.CONN_LISTEN and socket.laddr.port == record.port for socket in sockets)


def _has_exited(record: ServerRecord, limit_s: float) -> bool:
    deadline = time.monotonic() + limit_s
    while is_alive(record):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _suspects(launch: Launch) -> str:
    mine = str(launch.folder)
    pids = [p.pid for p in psutil.process_iter(["cmdline"]) if any(mine in part for part in p.info["cmdline"] or [])]
    return f" (probably {', '.join(map(str, pids))})" if pids else ""
