"""The state of the numbers that every answer carries as `as_of`."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from serving.answers.shape import AsOf
from sinks.keys import Keys, status_key
from sinks.position import lag_by_partition
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


def stream_lag(status: Mapping[bytes, bytes], position: Mapping[str, int]) -> dict[str, int] | None:
    """Offsets that wait in the topic: what lies between a position and the ends that the running stream reports.

    Args:
        status: The hash under `status_key`.
        position: Position of the statistics, read at the same instant.

    Returns:
        Offsets by partition number; transaction markers count as they do in Kafka. None if the ends are not known.

    Raises:
        ValueError: The ends are not what a stream reports.
    """
    if b"ends" not in status:
        return None
    ends = json.loads(status[b"ends"])
    if not isinstance(ends, dict):
        raise ValueError(f"{ends!r} are no ends of partitions")
    return lag_by_partition({key: int(end) for key, end in ends.items()}, position)


def parse_as_of(keys: Keys, replies: Sequence[Any]) -> Instant:
    """Parse the replies to `queue_as_of`. Raises ValueError for values that wetstream did not write."""
    updated, position, (finish, last), status = replies
    streaming = bool(status) and time.time() - finite(status.get(b"at", 0)) < STREAM_SILENT_S
    positions = parse_position(keys.position, position)
    lags = stream_lag(status, positions) if streaming else None
    as_of: AsOf = {
        "time": finite(updated) if updated else None,
        "positions": positions,
        "lag": None if lags is None else sum(lags.values()),
        "applying": finish is not None,
        "streaming": streaming,
    }
    version = repr((keys.prefix, updated, position, finish, last, as_of["lag"], streaming))
    return Instant(as_of, hashlib.blake2b(version.encode(), digest_size=9).hexdigest())
