"""What the stream has observed of itself (`sinks.observations`): recent micro-batches, growth of the vocabulary."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

from serving.answers.sources import Batch, GrowthPoint
from serving.as_of import finite
from sinks.statistics.errors import StatisticsError


class CorruptObservationsError(StatisticsError):
    """A Redis key of the stream's observations holds something that no stream wrote."""


@contextmanager
def observations_explained(key: str) -> Iterator[None]:
    """Turn errors of parsing a key of the stream's observations into CorruptObservationsError."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise CorruptObservationsError(
            f"Redis key {key} holds something that no stream wrote ({type(error).__name__}: {error}): delete it; it "
            "holds observations of the stream, no statistics"
        ) from error


def parse_batches(key: str, entries: Sequence[bytes]) -> list[Batch]:
    """Parse the entries under `batches_key`, newest first; fields as in `sinks.observations.BatchMetrics`.

    Raises:
        CorruptObservationsError: An entry was not written by a stream.
    """
    with observations_explained(key):
        return [_batch(json.loads(entry)) for entry in entries]


def _batch(entry: dict[str, Any]) -> Batch:
    checked: Batch = {
        "at": finite(entry["at"]),
        "rows": int(entry["rows"]),
        "rows_per_s": finite(entry["rows_per_s"]),
        "lag": int(entry["lag"]),
        "seconds": {phase: finite(seconds) for phase, seconds in entry["seconds"].items()},
    }
    return cast("Batch", {**entry, **checked})


def parse_growth(key: str, entries: Sequence[bytes], totals: Mapping[str, int]) -> list[GrowthPoint]:
    """Parse the entries under `growth_key`, and append a point made of the current totals.

    Args:
        key: Their key.
        entries: JSON objects, oldest first.
        totals: At least tokens, words and documents.

    Returns:
        Points with ascending tokens.

    Raises:
        CorruptObservationsError: An entry was not written by a stream.
    """
    with observations_explained(key):
        points = [_growth_point(json.loads(entry)) for entry in entries]
    points = [point for point in points if point["tokens"] < totals["tokens"]]
    if totals["tokens"]:
        points.append(_growth_point({**totals, "time": None}))
    return points


def _growth_point(entry: Mapping[str, Any]) -> GrowthPoint:
    return {
        "time": None if entry["time"] is None else finite(entry["time"]),
        "tokens": int(entry["tokens"]),
        "words": int(entry["words"]),
        "documents": int(entry["documents"]),
    }


def parse_counters(key: str, fields: Mapping[bytes, bytes]) -> dict[str, float]:
    """Parse the hash under `counters_key`: sums over all observed micro-batches (batches, rows, seconds by phase).

    Raises:
        CorruptObservationsError: A field was not written by a stream.
    """
    with observations_explained(key):
        return {name.decode(): finite(value) for name, value in fields.items()}
