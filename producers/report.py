"""What ingestion tells while it goes on, and at its end."""

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
    """Progress of one source, after each transaction: bytes of its file, and counts since the beginning of this run."""

    source: str
    file_bytes: int
    size: int
    records: int
    raw_bytes: int


@dataclass(frozen=True, slots=True)
class Note:
    """Something about a source that a person should know now: a server that does not answer, say."""

    source: str
    text: str


@dataclass(slots=True)
class Outcome:
    """How one source ended: its state, counts of this run, what was damaged, and a sentence for people.

    States: done, damaged (read to the end with damage on the way), already, copy; and those that leave something to
    do: truncated, changed, removing, not_wet, fenced, stopped, failed.
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
        """Whether nothing is left to do for this source."""
        return self.state in FINISHED

    @property
    def resumes(self) -> bool:
        """Whether a later run goes on by itself."""
        return self.state in RESUMABLE

    def after(self, first: Outcome) -> Outcome:
        """This outcome of a second try, with what the first one had brought."""
        self.records += first.records
        self.raw_bytes += first.raw_bytes
        self.seconds += first.seconds
        self.damage = [*first.damage, *(line for line in self.damage if line not in first.damage)]
        return self
