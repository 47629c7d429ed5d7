"""Records of the topic that are not processed: of removed sources, and of sources that were read from their files.

Exclusions are a property of the documents table, so they are part of its log. Every reader of the topic, stream or
replay, skips excluded records; otherwise records that were still in the topic when their source was removed would bring
part of it back.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

# Above every offset: no record of the source in the topic is ever processed.
FOREVER = (1 << 63) - 1
INHERITED = -1


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Excludes the messages of one source below an offset; later ones are a new ingestion of it.

    Attributes:
        source: Identity of the source.
        partition: Topic partition; -1 for all.
        end: The first offset that is not excluded.
        removal: Number of the removal; 0 for a source that is read from its file, INHERITED for a removal in an earlier
            generation.
    """

    source: str
    partition: int
    end: int
    removal: int


def to_json(exclusions: Iterable[Exclusion]) -> str:
    """Serialize exclusions as the text of a table property."""
    rows = [
        [e.source, e.partition, e.end, e.removal] for e in sorted(exclusions, key=lambda e: (e.source, e.partition))
    ]
    return json.dumps(rows, separators=(",", ":"))


def from_json(text: str | None) -> list[Exclusion]:
    """Parse the text of a table property; None means no exclusions."""
    return [Exclusion(*row) for row in json.loads(text)] if text else []
