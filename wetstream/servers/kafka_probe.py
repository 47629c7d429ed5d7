"""Asking a Kafka broker, with one plain request, whether it serves."""

import socket
import struct

_METADATA = 3
_METADATA_VERSION = 1
_NO_TOPICS = 0


def count_brokers(host: str, port: int, timeout_s: float = 2.0) -> int:
    """How many brokers the cluster has that serve, by the broker at this address; 0 for one that still starts.

    A listening socket alone proves little: some versions listen before they take requests, and a broker that is still
    fenced cannot hold partitions. Only plaintext listeners are understood. Raises OSError if nobody answers, ValueError
    if it is not Kafka.
    """
    client = b"wetstream"
    header = struct.pack(">hhih", _METADATA, _METADATA_VERSION, 1, len(client)) + client
    request = header + struct.pack(">i", _NO_TOPICS)
    with socket.create_connection((host, port), timeout=timeout_s) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        length, correlation, brokers = struct.unpack(">iii", _receive(connection, 12))
    if correlation != 1 or not 0 <= brokers < length:
        raise ValueError(f"{host}:{port} does not speak Kafka's protocol in plain text")
    return brokers


def _receive(connection: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size:
        part = connection.recv(size - len(received))
        if not part:
            raise ConnectionError("the connection was closed without an answer")
        received += part
    return received
