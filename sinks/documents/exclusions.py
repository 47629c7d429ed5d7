"""Records of the topic that are not processed: of removed sources, and of sources that were read from their files.

Exclusions are a property of the documents table, so they are part of its log. Every reader of the topic, stream or
replay, skips excluded records; otherwise records that were still in the topic when their source was removed would bring
part of it back.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

# Above every offset: no record of the source in the topic is ever processed.
FOREVER = (1 << 63) - 1
INHERITED = -1


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Excludes messages of one source: all below an offset, or a range of offsets.

    Messages behind a removed source's last one are a new ingestion of it. A range holds messages that are in the topic
    in excess: a repair removes them and nothing else of the source.

    Attributes:
        source: Identity of the source.
        partition: Topic partition; -1 for all.
        end: The first offset that is not excluded.
        removal: Number of the removal; 0 for a source that is read from its file, INHERITED for a removal in an earlier
            generation.
        begin: The first offset that is excluded.
    """

    source: str
    partition: int
    end: int
    removal: int
    begin: int = 0


class SourceRange(NamedTuple):
    """Offsets [begin, end) of a topic partition, of which only the messages of `source` are meant."""

    source: str
    partition: int
    begin: int
    end: int


def to_json(exclusions: Iterable[Exclusion]) -> str:
    """Serialize exclusions as the text of a table property."""
    ordered = sorted(exclusions, key=lambda e: (e.source, e.partition, e.begin))
    rows = [[e.source, e.partition, e.end, e.removal, *([e.begin] if e.begin else [])] for e in ordered]
    return json.dumps(rows, separators=(",", ":"))


def from_json(text: str | None) -> list[Exclusion]:
    """Parse the text of a table property; None means no exclusions."""
    return [Exclusion(*row) for row in json.loads(text)] if text else []
