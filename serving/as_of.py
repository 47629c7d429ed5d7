"""The state of the numbers that every answer carries as `as_of`."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from serving.answers.shape import AsOf
from sinks.keys import Keys, status_key
from sinks.statistics.stored import parse_position

# A running stream reports itself every two seconds.
STREAM_SILENT_S = 10


class Instant(NamedTuple):
    """An instant at which Redis was read. `version` changes whenever `as_of` or any number does."""

    as_of: AsOf
    version: str


def finite(value: Any) -> float:
    """Parse a number; JSON has neither NaN nor infinity. Raises ValueError, TypeError."""
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{number} is not a finite number")
    return number


def queue_as_of(pipe: Any, keys: Keys, pipeline: str) -> None:
    """Queue the commands whose AS_OF_REPLIES replies `parse_as_of` takes."""
    pipe.hget(keys.as_of, "time")
    pipe.get(keys.position)
    pipe.hmget(keys.commit, ["finish", "last"])
    pipe.hgetall(status_key(pipeline))


AS_OF_REPLIES = 4


def parse_as_of(keys: Keys, replies: Sequence[Any]) -> Instant:
    """Parse the replies to `queue_as_of`. Raises ValueError for values that wetstream did not write."""
    updated, position, (finish, last), status = replies
    streaming = bool(status) and time.time() - finite(status.get(b"at", 0)) < STREAM_SILENT_S
    as_of: AsOf = {
        "time": finite(updated) if updated else None,
        "positions": parse_position(keys.position, position),
        "lag": int(status[b"lag"]) if streaming and b"lag" in status else None,
        "applying": finish is not None,
        "streaming": streaming,
    }
    version = repr((keys.prefix, updated, position, finish, last, as_of["lag"], streaming))
    return Instant(as_of, hashlib.blake2b(version.encode(), digest_size=9).hexdigest())
