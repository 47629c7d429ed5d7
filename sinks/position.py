"""A position: how much of the topic, and of other inputs, a documents table or its statistics contain."""

from __future__ import annotations

import json
from collections.abc import Mapping

# Next offset by `<topic id>/<partition>`, and the numbers of removals and of commits from files; missing means 0.
Position = Mapping[str, int]
EMPTY_POSITION: Position = {}


def lag_by_partition(ends: Position, position: Position) -> dict[str, int]:
    """Return how many offsets lie between a position and the ends of a topic, by partition number.

    Args:
        ends: Where each partition ends, named as in a position.
        position: What is processed; a topic that was created again may end before it, which is no lag.
    """
    return {name.rpartition("/")[2]: max(0, end - position.get(name, 0)) for name, end in ends.items()}


def canonical(position: Position) -> str:
    """Serialize a position as JSON; equal positions give equal text, the empty one gives ""."""
    if not any(position.values()):
        return ""
    return json.dumps({key: value for key, value in sorted(position.items()) if value}, separators=(",", ":"))
