"""Optimistic transactions of Redis (WATCH, reads, MULTI, writes, EXEC), with arguments that come as columns.

The writes apply all together, and only if no watched key has changed since it was read. Against a script this halves
what a word costs Redis, and the arithmetic is done here, a column at a time. redis-py has such pipelines; but it packs
arguments one by one, which takes longer than Redis does for them. Here Arrow packs them (RESP, the Redis protocol).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from redis import Redis
from redis.connection import AbstractConnection
from redis.exceptions import ResponseError


class Transaction:
    """One after the other: what is asked is sent at once, and answered in this order. For one thread.

    To ask for the next thing before the last answer is fetched keeps Redis at work meanwhile.
    """

    def __init__(self, connection: AbstractConnection) -> None:
        self._connection = connection

    def ask_watch(self, keys: Sequence[str], *reads: bytes) -> None:
        """From here on, a change of these keys by others makes the next write do nothing; and do these commands."""
        self._send(packed("UNWATCH"), packed("WATCH", *keys), *reads)

    def watched(self, reads: int) -> list[Any]:
        """The answers to so many reads of an `ask_watch`. Raises RedisError when one is refused, or Redis is away."""
        return self._checked(2 + reads)[2:]

    def ask_write(self, *commands: bytes) -> int:
        """Do all of these commands, or nothing where a watched key was changed. Returns how many they are."""
        self._send(packed("MULTI"), *commands, packed("EXEC"))
        return len(commands)

    def written(self, commands: int) -> bool:
        """Whether an `ask_write` of so many commands was done.

        Raises RedisError when Redis refuses one of them (then it has done none), or is away (then nobody knows).
        """
        self._checked(1 + commands)  # it says why one is refused; EXEC would only say that there was something
        (done,) = self._checked(1)
        if done is None:
            return False
        _raise_first(done)
        return True

    def read(self, *commands: bytes) -> list[Any]:
        """The answers to these commands; nothing else may be waiting for an answer. Raises RedisError."""
        self._send(*commands)
        return self._checked(len(commands))

    def _send(self, *commands: bytes) -> None:
        self._connection.send_packed_command([b"".join(commands)], check_health=False)  # type: ignore[no-untyped-call]

    def _checked(self, count: int) -> list[Any]:
        answers: list[Any] = []
        for _ in range(count):
            try:
                answers.append(self._connection.read_response())
            except ResponseError as error:
                answers.append(error)  # the answers behind it have to be read all the same
        _raise_first(answers)
        return answers


@contextmanager
def transactions(client: Redis) -> Iterator[Transaction]:
    """Transactions on a connection of their own.

    An error ends it, and the connection: what was watched on it is not watched on another one.
    """
    connection = client.connection_pool.get_connection()
    try:
        transaction = Transaction(connection)
        yield transaction
        transaction.read(packed("UNWATCH"))
    except BaseException:
        connection.disconnect()  # type: ignore[no-untyped-call]
        raise
    finally:
        client.connection_pool.release(connection)


def packed(*arguments: bytes | str | int) -> bytes:
    """A command as it is sent."""
    parts = [part if isinstance(part, bytes) else str(part).encode() for part in arguments]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)


def packed_column(values: pa.BinaryArray) -> pa.BinaryArray:
    """Each of these values as an argument of a command is sent."""
    return pc.binary_join_element_wise(b"$", _lengths(values), b"\r\n", values, b"\r\n", b"")


def packed_rows(arguments: Sequence[bytes | str | int], rows: pa.BinaryArray, arguments_in_row: int) -> bytes:
    """A command that ends with these arguments; `rows` has them as they are sent, one or several an element."""
    head = packed(*arguments).partition(b"\r\n")[2]
    return b"*%d\r\n" % (len(arguments) + arguments_in_row * len(rows)) + head + _data(rows)


def _lengths(values: pa.BinaryArray) -> pa.BinaryArray:
    return pc.binary_length(values).cast(pa.string()).cast(pa.binary())


def _data(column: pa.Array) -> bytes:
    """The values of a binary column without nulls, one behind the other."""
    if not len(column):
        return b""
    offsets = np.frombuffer(column.buffers()[1], np.int32)
    begin, end = offsets[column.offset], offsets[column.offset + len(column)]
    return bytes(memoryview(column.buffers()[2])[begin:end])


def _raise_first(answers: Sequence[Any]) -> None:
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
