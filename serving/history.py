"""What the stream has observed of itself (`sinks.observations`): last micro-batches, growth of the vocabulary."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from redis import Redis

from sinks.keys import batches_key, counters_key, growth_key


def read_batches(client: Redis, pipeline: str, limit: int) -> list[dict[str, Any]]:
    """The last micro-batches that held records, newest first; fields as `sinks.observations.Batch`."""
    return [json.loads(entry) for entry in cast("list[bytes]", client.lrange(batches_key(pipeline), 0, limit - 1))]


def read_growth(client: Redis, pipeline: str, totals: Mapping[str, int]) -> list[dict[str, Any]]:
    """Points {time, tokens, words, documents} with growing tokens; the last is `totals` as they are now (time None)."""
    points = [json.loads(entry) for entry in cast("list[bytes]", client.lrange(growth_key(pipeline), 0, -1))]
    now = {"time": None, **{name: totals[name] for name in ("tokens", "words", "documents")}}
    held = [point for point in points if point["tokens"] < now["tokens"]]
    return [*held, now] if now["tokens"] else []


def read_counters(client: Redis, pipeline: str) -> dict[str, float]:
    """Sums over all micro-batches that were ever observed: batches, rows, seconds by phase, …"""
    found = cast("Mapping[bytes, bytes]", client.hgetall(counters_key(pipeline)))
    return {name.decode(): float(value) for name, value in found.items()}
