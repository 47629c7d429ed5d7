"""Parsing of the values in Redis, for writers and readers of the statistics alike.

Whatever wetstream cannot have written there raises CorruptStatisticsError, which names the key and the remedy.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from redis import Redis
from redis.exceptions import ResponseError

from sinks.keys import build_prefix
from sinks.statistics.errors import CorruptStatisticsError

SHOWN_BYTES = 40
SATURATED = (1 << 63) - 1  # what NumPy parses every larger number as; no count gets there
_COUNT = re.compile(rb"-?[0-9]{1,19}")
_WORD_COUNT = re.compile(rb"([0-9]{1,19}) ([0-9]{1,19})")


def parse_position(key: str, value: bytes | None) -> dict[str, int]:
    """Parse a position (JSON); none means that nothing is counted.

    Raises:
        CorruptStatisticsError: It is no position.
    """
    if not value:
        return {}
    try:
        position = json.loads(value)
    except ValueError:
        raise CorruptStatisticsError(key, f"holds {_shown(value)}, not a position") from None
    if not isinstance(position, dict) or not all(type(n) is int and n >= 0 for n in position.values()):
        raise CorruptStatisticsError(key, f"holds {_shown(value)}, not a position")
    return position


def parse_prefix(pipeline: str, key: str, value: bytes) -> str:
    """Parse the prefix of a build of a pipeline's statistics.

    Raises:
        CorruptStatisticsError: It is no such prefix.
    """
    prefix = value.decode(errors="replace")
    if not prefix.startswith(build_prefix(pipeline, "", 0).partition(".")[0]) or not prefix.endswith(":"):
        raise CorruptStatisticsError(key, f"holds {_shown(value)}, not the prefix of this pipeline's statistics")
    return prefix


def parse_int(key: str, field: bytes | str, value: bytes | None) -> int:
    """Parse a count of a hash; a missing field is 0.

    Raises:
        CorruptStatisticsError: It is no integer.
    """
    if value is None:
        return 0
    if not _COUNT.fullmatch(value):
        raise CorruptStatisticsError(key, f"holds {_shown(value)} for {_shown(field)}, not a number")
    return int(value)


def parse_counts(key: str, fields: Mapping[bytes, bytes]) -> dict[str, int]:
    """Parse a hash of counts.

    Raises:
        CorruptStatisticsError: A value is no integer, or a field is not UTF-8.
    """
    try:
        return {field.decode(): parse_int(key, field, value) for field, value in fields.items()}
    except UnicodeDecodeError as error:
        raise CorruptStatisticsError(key, f"has the field {_shown(error.object)}, which is not UTF-8") from None


def parse_word_counts(key: str, entries: Sequence[bytes]) -> NDArray[np.int64]:
    """Parse n entries of the hash `words`.

    Args:
        key: The Redis key that they are from.
        entries: Texts `<tf> <df>`.

    Returns:
        Array [n, 2] of tf and df.

    Raises:
        CorruptStatisticsError: An entry is malformed.
    """
    if not entries:
        return np.zeros((0, 2), np.int64)
    text = b"\n".join(entries) + b"\n"
    counts = np.fromstring(text, np.int64, sep=" ") if _are_pairs(text, len(entries)) else np.zeros(0, np.int64)
    if counts.size == 2 * len(entries):
        counts = counts.reshape(-1, 2)
        tf, df = counts[:, 0], counts[:, 1]
        if (tf >= df).all() and tf.max() < SATURATED:
            return counts
    entry = next(entry for entry in entries if not _is_word_count(entry))
    raise CorruptStatisticsError(key, f"holds {_shown(entry)} for a word, not `<tf> <df>`")


def check_types(client: Redis, expected: Mapping[str, str]) -> None:
    """Check that each key is of the expected type (`hash`, `string`, …), or absent.

    Raises:
        CorruptStatisticsError: A key is of another type.
    """
    with client.pipeline(transaction=False) as pipe:
        for key in expected:
            pipe.type(key)
        found = [kind.decode() for kind in pipe.execute()]
    for (key, wanted), kind in zip(expected.items(), found, strict=True):
        if kind not in ("none", wanted):
            raise CorruptStatisticsError(key, f"is a {kind}, not a {wanted}")


def explain_wrong_type(error: ResponseError, key: str = "") -> Exception:
    """Return a CorruptStatisticsError if Redis refused a command because its key is of another type, else `error`.

    Args:
        error: An error of a command, or of a pipeline of redis-py, whose errors quote the command.
        key: The key of the command; may be left out for a pipeline.
    """
    if "WRONGTYPE" not in str(error):
        return error
    quoted = re.match(r"Command # \d+ \(\S+ (\S+)", str(error))
    return CorruptStatisticsError(quoted[1].rstrip(")") if quoted else key, "is of another type than it should be")


def _are_pairs(text: bytes, n: int) -> bool:
    """Whether a text is n lines of digits with one blank inside: NumPy would take any white space for a separator."""
    letters = np.frombuffer(text, np.uint8)
    digits = letters - np.uint8(ord("0")) < 10
    separators = letters[~digits]
    return separators.tobytes() == b" \n" * n


def _is_word_count(entry: bytes) -> bool:
    found = _WORD_COUNT.fullmatch(entry)
    return found is not None and int(found[2]) <= int(found[1]) < SATURATED


def _shown(value: Any) -> str:
    text = value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)
    shown = repr(text.replace("\t", " "))
    return shown if len(shown) <= SHOWN_BYTES else f"{shown[:SHOWN_BYTES]}…"
