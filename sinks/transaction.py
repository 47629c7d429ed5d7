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
    """`watch`, perhaps `read`, then `write`; as often as wanted. For one thread."""

    def __init__(self, connection: AbstractConnection) -> None:
        self._connection = connection

    def watch(self, keys: Sequence[str], *reads: bytes) -> list[Any]:
        """From here on, a change of these keys by others makes `write` do nothing. Returns the answers to `reads`."""
        return self.read(packed("UNWATCH"), packed("WATCH", *keys), *reads)[2:]

    def read(self, *commands: bytes) -> list[Any]:
        """The answers to these commands. Raises RedisError if one is an error, or Redis is away."""
        answers = self._ask(commands)
        _raise_first(answers)
        return answers

    def write(self, *commands: bytes) -> bool:
        """Do all of these commands, or nothing and return False where a watched key was changed.

        Raises RedisError when Redis refuses one of them (then it has done none), or is away (then nobody knows).
        """
        answers = self._ask([packed("MULTI"), *commands, packed("EXEC")])
        _raise_first(answers[:-1])  # it says why; EXEC then only says that there was something
        if answers[-1] is None:
            return False
        _raise_first([answers[-1]])
        _raise_first(answers[-1])
        return True

    def _ask(self, commands: Sequence[bytes]) -> list[Any]:
        self._connection.send_packed_command([b"".join(commands)], check_health=False)  # type: ignore[no-untyped-call]
        answers: list[Any] = []
        for _ in commands:
            try:
                answers.append(self._connection.read_response())
            except ResponseError as error:
                answers.append(error)  # the answers behind it have to be read all the same
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
