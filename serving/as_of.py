"""State of the numbers: what every answer carries, and by what two answers are told apart."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from sinks.keys import Keys, status_key

# A running stream says so every two seconds.
STREAM_SILENT_S = 10


class AsOf(NamedTuple):
    """`answer` is what stands as `as_of` in answers; `version` changes whenever any number or this state does."""

    answer: dict[str, Any]
    version: str


def queue_as_of(pipe: Any, keys: Keys, pipeline: str) -> None:
    """Queue the commands whose replies `parse_as_of` takes on a Redis pipeline."""
    pipe.hget(keys.as_of, "time")
    pipe.get(keys.position)
    pipe.hmget(keys.commit, ["finish", "last"])
    pipe.hgetall(status_key(pipeline))


AS_OF_REPLIES = 4


def parse_as_of(keys: Keys, replies: Sequence[Any]) -> AsOf:
    """The state from the replies: `time` of the last commit (Unix seconds), `positions` by topic partition, whether a
    stream runs (`streaming`) and its `lag` in offsets (None when none runs), and whether words of an unfinished
    micro-batch run ahead of the totals (`applying`).
    """
    updated, position, (finish, last), status = replies
    streaming = bool(status) and time.time() - float(status.get(b"at", 0)) < STREAM_SILENT_S
    answer = {
        "time": float(updated) if updated else None,
        "positions": json.loads(position) if position else {},
        "lag": int(status[b"lag"]) if streaming and b"lag" in status else None,
        "applying": finish is not None,
        "streaming": streaming,
    }
    told = repr((keys.prefix, updated, position, finish, last, answer["lag"], streaming))
    return AsOf(answer, hashlib.blake2b(told.encode(), digest_size=9).hexdigest())
