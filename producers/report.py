"""Events of an ingestion: progress, notes and outcomes."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class OutcomeState(StrEnum):
    """How the ingestion of a source ended."""

    DONE = "done"
    DAMAGED = "damaged"
    """Read to its end, skipping damaged regions."""
    ALREADY = "already"
    COPY = "copy"
    TRUNCATED = "truncated"
    CHANGED = "changed"
    REMOVING = "removing"
    NOT_WET = "not_wet"
    FENCED = "fenced"
    STOPPED = "stopped"
    FAILED = "failed"


FINISHED = frozenset({OutcomeState.DONE, OutcomeState.DAMAGED, OutcomeState.ALREADY, OutcomeState.COPY})
RESUMABLE = frozenset({OutcomeState.STOPPED, OutcomeState.TRUNCATED})


@dataclass(frozen=True, slots=True)
class SourceProgress:
    """Progress of one source after a commit.

    Attributes:
        source: Its identity.
        file_bytes: How far its file is read.
        size: Size of the file in bytes.
        records: Records committed by this run.
        raw_bytes: Bytes of their messages.
    """

    source: str
    file_bytes: int
    size: int
    records: int
    raw_bytes: int


@dataclass(frozen=True, slots=True)
class Note:
    """Something about a source that the user should know now, such as a server that does not answer."""

    source: str
    text: str


@dataclass(slots=True)
class Outcome:
    """How the ingestion of one source ended.

    Attributes:
        source: Its identity.
        state: How it ended.
        message: A sentence for the user; empty if there is nothing to say.
        records: Records committed by this run.
        raw_bytes: Bytes of their messages.
        seconds: How long it took.
        damage: A sentence for each damaged region.
    """

    source: str
    state: OutcomeState
    message: str = ""
    records: int = 0
    raw_bytes: int = 0
    seconds: float = 0.0
    damage: list[str] = field(default_factory=list)

    @property
    def finished(self) -> bool:
        """Whether the source is complete, or skipped on purpose."""
        return self.state in FINISHED

    @property
    def resumes(self) -> bool:
        """Whether the next run continues this source."""
        return self.state in RESUMABLE

    def after(self, first: Outcome) -> Outcome:
        """Return this outcome of a second attempt with the counts of the first one added."""
        self.records += first.records
        self.raw_bytes += first.raw_bytes
        self.seconds += first.seconds
        self.damage = [*first.damage, *(line for line in self.damage if line not in first.damage)]
        return self
