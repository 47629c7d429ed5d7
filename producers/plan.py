"""Decides what to do with a source, given its marker in the progress topic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from conf.errors import counted
from producers.sources.files import Fingerprint, SourceFile, begins_with
from producers.sources.source import Source
from producers.topic.markers import COMPLETE, Marker, SourceState


class PlanAction(StrEnum):
    """What to do with a source."""

    START = "start"
    RESUME = "resume"
    ALREADY = "already"
    """Nothing: it is ingested."""
    STILL_CUT = "still_cut"
    """Nothing: it still ends inside a record."""
    COPY = "copy"
    """Nothing: another source has the same content."""
    CHANGED = "changed"
    """Refuse: its content is not what was ingested under this identity."""
    REMOVING = "removing"
    """Refuse: it is being removed."""
    REFUSED = "refused"
    """Refuse: it cannot be read or is no WET file."""


READS = frozenset({PlanAction.START, PlanAction.RESUME})


@dataclass(frozen=True, slots=True)
class SourcePlan:
    """What to do with a source; `message` says why and names the remedy if it is not read."""

    action: PlanAction
    message: str = ""


def plan_source(
    source: Source,
    file: SourceFile,
    found: Fingerprint,
    markers: Mapping[str, Marker],
    *,
    allow_copies: bool = False,
) -> SourcePlan:
    """Decide what to do with a source.

    Args:
        source: The source.
        file: Its opened file.
        found: The file's fingerprint.
        markers: The last marker of every source.
        allow_copies: Whether content that is ingested under another identity may be ingested again.
    """
    known = markers.get(source.id)
    if known is None or known.state == SourceState.REMOVED:
        twin = None if allow_copies else _same_content(found, markers)
        if twin is not None:
            return SourcePlan(
                PlanAction.COPY,
                f"{source.name} has the same content as {twin}, which is ingested already: skipped "
                "(--allow-copies counts it a second time)",
            )
        return SourcePlan(PlanAction.START)
    if known.state == SourceState.REMOVING:
        return SourcePlan(
            PlanAction.REMOVING,
            f"{source.id} is being taken out, and that has not come to its end: let `wetstream remove '{source.id}'` "
            "finish it, then ingest it again",
        )
    if not begins_with(file, known.fingerprint):
        size = counted(known.fingerprint.size, "byte")
        return SourcePlan(
            PlanAction.CHANGED,
            f"{source.name} has other content than when {source.id} was ingested ({size} "
            f"then, {found.size:,} now): take the old content out with `wetstream remove`, then ingest it again, or "
            "give the new file another identity with --as",
        )
    if known.state == SourceState.INGESTING or found.size > known.fingerprint.size:
        return SourcePlan(PlanAction.RESUME)
    if known.state == SourceState.TRUNCATED:
        whole = counted(known.records - 1, "whole record is", "whole records are")
        return SourcePlan(
            PlanAction.STILL_CUT,
            f"{source.name} still ends in the middle of a record (byte offset {known.place.member:,}); its {whole} "
            "ingested. Fetch the rest of the file and ingest it again: it is carried on from there",
        )
    assert known.state in COMPLETE
    return SourcePlan(
        PlanAction.ALREADY, f"{source.id} is already ingested ({counted(known.records, 'record')}): nothing to do"
    )


def _same_content(found: Fingerprint, markers: Mapping[str, Marker]) -> str | None:
    return next((m.source for m in markers.values() if m.fingerprint == found and m.state != SourceState.REMOVED), None)
