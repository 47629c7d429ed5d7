"""What the stream has observed of itself (`sinks.observations`): last micro-batches, growth of the vocabulary."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any


def parse_batches(entries: Sequence[bytes]) -> list[dict[str, Any]]:
    """Micro-batches from the entries under `batches_key`, newest first; fields as `sinks.observations.BatchMetrics`."""
    return [json.loads(entry) for entry in entries]


def parse_growth(entries: Sequence[bytes], totals: Mapping[str, int]) -> list[dict[str, Any]]:
    """Points {time, tokens, words, documents} with growing tokens, from the entries under `growth_key`; the last is
    `totals` as they are now (time None).
    """
    now = {"time": None, **{name: totals[name] for name in ("tokens", "words", "documents")}}
    points = ({name: point[name] for name in now} for point in map(json.loads, entries))
    held = [point for point in points if point["tokens"] < now["tokens"]]
    return [*held, now] if now["tokens"] else []


def parse_counters(fields: Mapping[bytes, bytes]) -> dict[str, float]:
    """Sums over all micro-batches that were ever observed: batches, rows, seconds by phase, …."""
    return {name.decode(): float(value) for name, value in fields.items()}
