"""A TCP proxy before a Kafka broker that can hold an `EndTxn` back, as a network or a load balancer may.

Kafka clients find brokers by the addresses in the broker's own answers, so the proxy puts its port in their place.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import struct
import threading
from collections.abc import Iterator

PRODUCE, INIT_PRODUCER_ID, END_TXN = 0, 22, 26
HOST = "127.0.0.1"


class Proxy:
    """Forwards everything; the `EndTxn` number `hold` (from 1) is held back, and its client loses the connection.

    The held request reaches the broker, on the connection that it came by, when the broker has answered the first
    `Produce` after the client's next `EndTxn` or `InitProducerId`; nothing else is forwarded meanwhile.
    """

    def __init__(self, bootstrap_servers: str, hold: int) -> None:
        host, _, port = bootstrap_servers.rpartition(":")
        assert host == HOST
        self._broker = (host, int(port))
        self._listener = socket.create_server((HOST, 0))
        self.address = f"{HOST}:{self._listener.getsockname()[1]}"
        self._hold = hold
        self._held: tuple[bytes, socket.socket] | None = None
        self._released_on: socket.socket | None = None
        self._restarted = False
        self._sockets: list[socket.socket] = []
        self.end_txns = 0
        self.released = threading.Event()
        """The held request has reached the broker, and was answered."""
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()
        for end in self._sockets:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            broker = socket.create_connection(self._broker)
            self._sockets += [client, broker]
            answered: queue.Queue[bytes] = queue.Queue()
            threading.Thread(target=self._requests, args=(client, broker, answered), daemon=True).start()
            threading.Thread(target=self._answers, args=(client, broker, answered), daemon=True).start()

    def _requests(self, client: socket.socket, broker: socket.socket, answered: queue.Queue[bytes]) -> None:
        with contextlib.suppress(OSError):
            for frame in _frames(client):
                (api,) = struct.unpack_from(">h", frame, 4)
                if api == END_TXN:
                    self.end_txns += 1
                    if self.end_txns == self._hold:
                        self._held = (frame, broker)
                        client.shutdown(socket.SHUT_RDWR)
                        return
                if api in (END_TXN, INIT_PRODUCER_ID):
                    self._restarted = self._held is not None
                broker.sendall(frame)
                if api == PRODUCE and self._restarted and not self.released.is_set():
                    while answered.get(timeout=10) != frame[8:12]:
                        pass
                    self._release()

    def _release(self) -> None:
        assert self._held is not None
        frame, self._released_on = self._held
        self._released_on.sendall(frame)
        self.released.wait(10)

    def _answers(self, client: socket.socket, broker: socket.socket, answered: queue.Queue[bytes]) -> None:
        old, new = (struct.pack(">i", int(port)) for port in (self._broker[1], self.address.rpartition(":")[2]))
        with contextlib.suppress(OSError):
            for frame in _frames(broker):
                answered.put(frame[4:8])
                if broker is self._released_on:
                    self.released.set()
                client.sendall(frame.replace(HOST.encode() + old, HOST.encode() + new))


def _frames(source: socket.socket) -> Iterator[bytes]:
    """Requests or answers of the protocol, each with the four bytes of its size."""
    data = b""
    while True:
        while len(data) < 4 or len(data) < 4 + struct.unpack_from(">i", data)[0]:
            block = source.recv(1 << 16)
            if not block:
                return
            data += block
        end = 4 + struct.unpack_from(">i", data)[0]
        frame, data = data[:end], data[end:]
        yield frame
