"""Redis commands encoded in RESP (the Redis serialization protocol), with arguments taken from Arrow columns.

redis-py encodes arguments one by one, which takes longer than Redis needs to execute them. Arrow encodes whole columns.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def packed(*arguments: bytes | str | int) -> bytes:
    """Encode a command."""
    parts = [part if isinstance(part, bytes) else str(part).encode() for part in arguments]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)


def packed_column(values: pa.BinaryArray) -> pa.BinaryArray:
    """Encode each value as an argument of a command."""
    return pc.binary_join_element_wise(b"$", _lengths(values), b"\r\n", values, b"\r\n", b"")


def packed_rows(arguments: Sequence[bytes | str | int], rows: pa.BinaryArray, arguments_in_row: int) -> bytes:
    """Encode a command whose last arguments come from a column.

    Args:
        arguments: The name of the command and its first arguments.
        rows: Arguments that are already encoded (`packed_column`), `arguments_in_row` to an element.
        arguments_in_row: Arguments in each element of `rows`.
    """
    head = packed(*arguments).partition(b"\r\n")[2]
    return b"*%d\r\n" % (len(arguments) + arguments_in_row * len(rows)) + head + _data(rows)


def _lengths(values: pa.BinaryArray) -> pa.BinaryArray:
    return pc.binary_length(values).cast(pa.string()).cast(pa.binary())


def _data(column: pa.Array) -> bytes:
    """The concatenated values of a binary column without nulls."""
    if not len(column):
        return b""
    offsets = np.frombuffer(column.buffers()[1], np.int32)
    begin, end = offsets[column.offset], offsets[column.offset + len(column)]
    return bytes(memoryview(column.buffers()[2])[begin:end])
