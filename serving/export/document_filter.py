"""Chooses the documents to export by language and source. Frequencies are counted over these documents only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

UNKNOWN = "unknown"  # as the statistics call the language of a page without one


@dataclass
class DocumentFilter:
    """Chooses kept documents.

    Attributes:
        languages: ISO 639-3 codes or `unknown`; empty: any.
        sources: Identities of sources, beginnings of identities up to a slash, or parts of them between slashes (names
            of crawls and segments); empty: any.
        met: Entries of `sources` that some record of the table matched so far, kept or not.
        languages_found: Languages of the records so far, kept or not; only where `languages` are given.
    """

    languages: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    met: set[str] = field(default_factory=set, compare=False)
    languages_found: set[str] = field(default_factory=set, compare=False)

    def of(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """Return the chosen rows. They need the columns source, language and reason."""
        # Rows that take others back are of stubs, and a stub is never kept.
        mask = pc.is_null(rows.column("reason"))
        if self.languages:
            language = pc.fill_null(rows.column("language").cast(pa.string()), UNKNOWN)
            self.languages_found.update(language.unique().to_pylist())
            mask = pc.and_(mask, pc.is_in(language, pa.array(self.languages)))
        if self.sources:
            names = rows.column("source").cast(pa.string())
            wanted = [source for source in names.unique().to_pylist() if self._names(source)]
            mask = pc.and_(mask, pc.is_in(names, pa.array(wanted, pa.string())))
        return rows.filter(mask)

    def unmet(self) -> list[str]:
        """Return the entries of `sources` that matched nothing so far."""
        return [entry for entry in self.sources if entry not in self.met]

    def unmet_languages(self) -> list[str]:
        """Return the entries of `languages` that no record had so far."""
        return [entry for entry in self.languages if entry not in self.languages_found]

    def _names(self, source: str) -> bool:
        matching = [entry for entry in self.sources if source_matches(entry, source)]
        self.met.update(matching)
        return bool(matching)


def source_matches(entry: str, source: str) -> bool:
    """Whether `entry` names a source: its identity, the beginning of it up to a slash, or a part between slashes."""
    part = entry.strip("/")
    return source == entry or source.startswith(entry.rstrip("/") + "/") or (bool(part) and f"/{part}/" in source)


def filter_documents(batches: Iterable[pa.RecordBatch], chosen: DocumentFilter) -> Iterable[pa.RecordBatch]:
    """Yield the chosen rows of each batch that has any."""
    for batch in batches:
        rows = chosen.of(batch)
        if rows.num_rows:
            yield rows
