"""What a documents table leaves out, in its log: removed sources, sources held from their files, pages taken down.

A removal is decided by one commit (`plan_removal`) and completed by another, so that whatever starts after a crash
between the two finds it and completes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from deltalake import DeltaTable, Transaction

from conf.crash_points import crash_point
from sinks.documents.exclusions import FOREVER, INHERITED, Excluded, Exclusion, SourceRange, StoredExclusions
from sinks.documents.files import DocumentFile, require_files
from sinks.documents.log import FROM_FILE, REMOVALS, DocumentsLog, add_actions, remove_actions
from sinks.documents.takedowns import Takedown
from sinks.storage.location import Location

EXCLUSIONS = "exclusions"  # where the exclusions are (`sinks.documents.exclusions`)
EXCLUSIONS_BEFORE = "exclusions_before"  # where they were before the last change


class RemovalsLog(DocumentsLog):
    """The log of a documents table, with what is left out of it."""

    def __init__(self, table: DeltaTable, location: Location) -> None:
        super().__init__(table, location)
        self._stored = StoredExclusions(location)

    def exclusions(self) -> list[Exclusion]:
        """Records of the topic that its readers skip: of removed sources, and of sources held from their files."""
        return [e for e in self._excluded().records if e.removal or self.is_from_file(e.source)]

    def takedowns(self) -> list[Takedown]:
        """Takedowns of pages, which apply to every record that is processed."""
        return list(self._excluded().pages)

    def is_from_file(self, source: str) -> bool:
        """Whether the table holds the source from its file rather than from the topic."""
        return self._transaction(FROM_FILE + source) % 2 == 1

    def sources_from_files(self) -> list[str]:
        """Sources that the table holds from their files."""
        return [e.source for e in self._excluded().records if not e.removal and self.is_from_file(e.source)]

    def expect_files(self, sources: Sequence[str]) -> None:
        """Exclude the topic's records of these sources from the commit on that adds them from their files."""
        found = self._excluded()
        known = {e.source for e in found.records if not e.removal}
        fresh = [Exclusion(source, -1, FOREVER, 0) for source in sources if source not in known]
        if fresh:
            self._set_excluded([*found.records, *fresh], found.pages)

    def inherit(self, exclusions: Sequence[Exclusion], takedowns: Sequence[Takedown] = ()) -> None:
        """Start with the removals and takedowns of an earlier generation."""
        if exclusions or takedowns:
            self._set_excluded(
                [replace(e, removal=INHERITED) for e in exclusions],
                [replace(takedown, removal=INHERITED) for takedown in takedowns],
            )

    def take_over_exclusions(self, earlier: RemovalsLog) -> None:
        """Start with all exclusions and takedowns of an earlier table, planned removals too."""
        found = earlier._excluded()
        if found.records or found.pages:
            self._set_excluded(found.records, found.pages)

    def plan_removal(
        self,
        ends: Mapping[str, tuple[int, int]],
        ranges: Sequence[SourceRange] = (),
        takedowns: Sequence[Takedown] = (),
    ) -> None:
        """Decide to remove sources, parts of them, or pages; every start of a writer completes it from now on.

        Args:
            ends: By source, the topic partition and the offset behind its last record. Records before that offset are
                excluded; later ones are a new ingestion of the source.
            ranges: Records that are in the topic in excess.
            takedowns: Pages to take down.
        """
        number = self._transaction(REMOVALS) + 1
        found = self._excluded()
        kept = [
            e for e in found.records if not (e.source in ends and (not e.removal or e.partition == ends[e.source][0]))
        ]
        added = [Exclusion(source, partition, end, number) for source, (partition, end) in ends.items()]
        added += [Exclusion(r.source, r.partition, r.end, number, r.begin) for r in ranges]
        pages = {(takedown.kind, takedown.value): takedown for takedown in found.pages}
        pages |= {(takedown.kind, takedown.value): replace(takedown, removal=number) for takedown in takedowns}
        self._set_excluded([*kept, *added], list(pages.values()))

    def planned_removal(self) -> Excluded:
        """Removals and takedowns that were decided but not completed."""
        done = self._transaction(REMOVALS)
        found = self._excluded()
        return Excluded(
            tuple(e for e in found.records if e.removal > done),
            tuple(takedown for takedown in found.pages if takedown.removal > done),
        )

    def complete_removal(
        self, paths: Sequence[str], files: Sequence[DocumentFile], sources: Sequence[str] = ()
    ) -> None:
        """Complete the planned removal: replace the files at `paths` by `files`, which hold the remaining rows.

        Args:
            paths: Files of this version of the table.
            files: What is left of them.
            sources: The sources of the pages that were taken down, for `history`.

        Raises:
            FencedError: Another writer has committed since this table was opened.
            DocumentsError: A file is missing.
        """
        require_files(self.location, files)
        planned = self.planned_removal().records
        transactions = [Transaction(REMOVALS, self._transaction(REMOVALS) + 1)]
        transactions += [self._toggled(e.source) for e in planned if not e.begin and self.is_from_file(e.source)]
        actions = [*add_actions(files, data_change=True), *remove_actions(paths, data_change=True)]
        self._write(actions, transactions, [*sources, *(e.source for e in planned)])

    def _excluded(self) -> Excluded:
        return self._stored.read(self.properties.get(EXCLUSIONS, ""))

    def _set_excluded(self, exclusions: Sequence[Exclusion], takedowns: Sequence[Takedown]) -> None:
        known = self.properties
        old, older = known.get(EXCLUSIONS, ""), known.get(EXCLUSIONS_BEFORE, "")
        new = self._stored.write(exclusions, takedowns)
        crash_point("before-exclusions")
        self._set_properties({f"wetstream.{EXCLUSIONS}": new, f"wetstream.{EXCLUSIONS_BEFORE}": old})
        # The ones before stay, for processes that have just opened the table.
        self._stored.delete(older)
