"""What a pipeline reports while it works: typed events for one callback, which may be called from any thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from producers.report import Note, Outcome, SourceProgress


@dataclass(frozen=True, slots=True)
class Status:
    """What the pipeline does now, in a few words (`starting Kafka`, `streaming`)."""

    text: str


@dataclass(frozen=True, slots=True)
class SourcesFound:
    """The sources that will be ingested: the size in bytes by identity, 0 for a remote one, which is not known yet."""

    sizes: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """A micro-batch is committed: its rows, Spark's rate, and how many offsets of the topic are left behind it."""

    rows: int
    rows_per_s: float
    lag: int


@dataclass(frozen=True, slots=True)
class FilesRead:
    """A replay has read `sources` of `total_sources` files, with so many records."""

    sources: int
    total_sources: int
    records: int


Event = Status | SourcesFound | SourceProgress | Note | Outcome | MicroBatch | FilesRead
OnEvent = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Report nothing."""
