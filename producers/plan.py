"""What to do with a source, given what the progress topic knows of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from producers.sources.files import SourceFile
from producers.sources.source import Fingerprint, Source, continues
from producers.topic.markers import DAMAGED, DONE, INGESTING, REMOVED, REMOVING, TRUNCATED, Marker

Action = Literal["start", "resume", "already", "still_cut", "copy", "changed", "removing"]


@dataclass(frozen=True, slots=True)
class Plan:
    """The action, and for those that do nothing the sentence that says why and what helps."""

    action: Action
    message: str = ""


def plan_source(
    source: Source,
    file: SourceFile,
    found: Fingerprint,
    markers: Mapping[str, Marker],
    *,
    allow_copies: bool = False,
) -> Plan:
    """Start, resume, or leave alone. `markers` are the last markers of all sources."""
    known = markers.get(source.id)
    if known is None or known.state == REMOVED:
        twin = None if allow_copies else _same_content(found, markers)
        if twin is not None:
            return Plan(
                "copy",
                f"{source.name} has the same content as {twin}, which is ingested already: skipped "
                "(--allow-copies counts it a second time)",
            )
        return Plan("start")
    if known.state == REMOVING:
        return Plan(
            "removing",
            f"{source.id} is being taken out, and that has not come to its end: let `wetstream remove '{source.id}'` "
            "finish it, then ingest it anew",
        )
    if not continues(file, known.fingerprint):
        return Plan(
            "changed",
            f"{source.name} has other content than when {source.id} was ingested ({known.fingerprint.size:,} bytes "
            f"then, {found.size:,} now): take the old content out with `wetstream remove`, then ingest it anew, or "
            "give the new file another identity with --as",
        )
    if known.state == INGESTING or found.size > known.fingerprint.size:
        return Plan("resume")
    if known.state == TRUNCATED:
        return Plan(
            "still_cut",
            f"{source.name} still ends in the middle of a record (byte offset {known.place.member:,}); its "
            f"{known.records - 1:,} whole records are ingested. Fetch the rest of the file and ingest it again: it is "
            "carried on from there",
        )
    assert known.state in (DONE, DAMAGED)
    return Plan("already", f"{source.id} is already ingested ({known.records:,} records): nothing to do")


def _same_content(found: Fingerprint, markers: Mapping[str, Marker]) -> str | None:
    return next((m.source for m in markers.values() if m.fingerprint == found and m.state != REMOVED), None)
