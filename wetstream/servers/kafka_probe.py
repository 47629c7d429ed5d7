"""A probe that asks a Kafka broker whether it is serving, without a client library."""

import socket
import struct

_METADATA = 3
_METADATA_VERSION = 1
_NO_TOPICS = 0
_SASL_HANDSHAKE = 17
_SASL_HANDSHAKE_VERSION = 1
_SASL_AUTHENTICATE = 36
_SASL_AUTHENTICATE_VERSION = 0


def count_brokers(host: str, port: int, username: str = "", password: str = "", timeout_s: float = 2.0) -> int:
    """Return how many brokers the broker at this address reports as serving; 0 while it is starting.

    A listening socket proves little: some versions listen before they accept requests, and a fenced broker cannot lead
    partitions. With a password the connection authenticates with SASL/PLAIN. TLS is not supported.

    Raises:
        OSError: Nobody answers.
        ValueError: It is not Kafka, or it does not accept the password.
    """
    with socket.create_connection((host, port), timeout=timeout_s) as connection:
        if password:
            _authenticate(connection, username, password)
        answer = _ask(connection, _METADATA, _METADATA_VERSION, struct.pack(">i", _NO_TOPICS))
        (brokers,) = struct.unpack(">i", answer[:4])
    if not 0 <= brokers < len(answer):
        raise ValueError("it does not speak Kafka's protocol in plain text")
    return int(brokers)


def _authenticate(connection: socket.socket, username: str, password: str) -> None:
    mechanism = b"PLAIN"
    _check(_ask(connection, _SASL_HANDSHAKE, _SASL_HANDSHAKE_VERSION, struct.pack(">h", len(mechanism)) + mechanism))
    token = f"\0{username}\0{password}".encode()
    _check(_ask(connection, _SASL_AUTHENTICATE, _SASL_AUTHENTICATE_VERSION, struct.pack(">i", len(token)) + token))


def _check(answer: bytes) -> None:
    (error_code,) = struct.unpack(">h", answer[:2])
    if error_code:
        raise ValueError(f"Kafka does not accept the password (error {error_code})")


def _ask(connection: socket.socket, api: int, version: int, body: bytes) -> bytes:
    """Send a request; return the response body."""
    client = b"wetstream"
    request = struct.pack(">hhih", api, version, 1, len(client)) + client + body
    connection.sendall(struct.pack(">i", len(request)) + request)
    length, correlation = struct.unpack(">ii", _receive(connection, 8))
    if correlation != 1 or not 6 <= length < 1_000_000:
        raise ValueError("it does not speak Kafka's protocol in plain text")
    return _receive(connection, length - 4)


def _receive(connection: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size:
        part = connection.recv(size - len(received))
        if not part:
            raise ConnectionError("the connection was closed without an answer")
        received += part
    return received
