"""Which records of the topic do not count: those of a removed source, and those of a source that came from files.

Kept as one property of the documents table, so that it is part of the table's own log. What is excluded is dropped by
every reader of the topic, the stream and replays alike; else records that still waited when a source was removed would
bring a part of it back.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

# Beyond every offset: nothing of this source in the topic ever counts.
FOR_EVER = (1 << 63) - 1
INHERITED = -1


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Messages of `source` in `partition` below offset `end` do not count; those behind `end` were ingested anew.

    `removal`: number of the removal that this belongs to; 0 for a source that is read from its file; INHERITED: it was
    done in an earlier generation. `partition` -1: in every partition.
    """

    source: str
    partition: int
    end: int
    removal: int


def to_json(exclusions: Iterable[Exclusion]) -> str:
    """Text of a table property."""
    rows = [
        [e.source, e.partition, e.end, e.removal] for e in sorted(exclusions, key=lambda e: (e.source, e.partition))
    ]
    return json.dumps(rows, separators=(",", ":"))


def from_json(text: str | None) -> list[Exclusion]:
    """The inverse of `to_json`; nothing for no text."""
    return [Exclusion(*row) for row in json.loads(text)] if text else []
