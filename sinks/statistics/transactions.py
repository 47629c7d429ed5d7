"""Pipelined optimistic transactions on Redis: WATCH and reads, then MULTI, writes, EXEC.

The writes apply all together, and only if no watched key has changed since it was read. Compared with a Lua script,
this halves the time that Redis spends on a word; the arithmetic happens in the client, a column at a time. redis-py's
own pipelines are not used because they encode arguments one by one (`sinks.statistics.resp`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from redis import Redis
from redis.connection import AbstractConnection
from redis.exceptions import ResponseError

from sinks.statistics.resp import packed


class TransactionPipeline:
    """Optimistic transactions on one connection; replies arrive in request order. Not thread-safe.

    Sending the next request before reading the last reply keeps Redis busy meanwhile.
    """

    def __init__(self, connection: AbstractConnection) -> None:
        self._connection = connection

    def send_watch(self, keys: Sequence[str], *reads: bytes) -> None:
        """Watch only these keys from now on, and send these read commands."""
        self._send(packed("UNWATCH"), packed("WATCH", *keys), *reads)

    def receive_watch(self, reads: int) -> list[Any]:
        """Return the replies to the `reads` commands of a `send_watch`.

        Raises:
            RedisError: Redis refused a command, or the connection was lost.
        """
        return self._receive(2 + reads)[2:]

    def send_exec(self, *commands: bytes) -> int:
        """Send a transaction of these commands, which does nothing if a watched key has changed.

        Returns:
            The number of commands, for `receive_exec`.
        """
        self._send(packed("MULTI"), *commands, packed("EXEC"))
        return len(commands)

    def receive_exec(self, commands: int) -> bool:
        """Return whether the transaction of a `send_exec` was applied.

        Raises:
            RedisError: Redis refused a command, so none was applied; or the connection was lost, so the outcome is
                unknown.
        """
        self._receive(1 + commands)  # the reply to the command that was refused says why; EXEC only says that one was
        (done,) = self._receive(1)
        if done is None:
            return False
        _raise_first(done)
        return True

    def read(self, *commands: bytes) -> list[Any]:
        """Return the replies to these commands; no other reply may be outstanding.

        Raises:
            RedisError: Redis refused a command, or the connection was lost.
        """
        self._send(*commands)
        return self._receive(len(commands))

    def _send(self, *commands: bytes) -> None:
        self._connection.send_packed_command([b"".join(commands)], check_health=False)  # type: ignore[no-untyped-call]

    def _receive(self, count: int) -> list[Any]:
        replies: list[Any] = []
        for _ in range(count):
            try:
                replies.append(self._connection.read_response())
            except ResponseError as error:
                replies.append(error)  # the replies after it still have to be read
        _raise_first(replies)
        return replies


@contextmanager
def transaction_pipeline(client: Redis) -> Iterator[TransactionPipeline]:
    """Open a TransactionPipeline on a connection of its own.

    After an error the connection is closed: keys watched on it are not watched on another one.
    """
    connection = client.connection_pool.get_connection()
    try:
        pipeline = TransactionPipeline(connection)
        yield pipeline
        pipeline.read(packed("UNWATCH"))
    except BaseException:
        connection.disconnect()  # type: ignore[no-untyped-call]
        raise
    finally:
        client.connection_pool.release(connection)


def _raise_first(replies: Sequence[Any]) -> None:
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
