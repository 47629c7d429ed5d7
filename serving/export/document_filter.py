"""Which documents are exported: by language and by source. Frequencies are counted over these, and no others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

UNKNOWN = "unknown"  # the language of a page of which it is not known, as in the statistics


@dataclass
class DocumentFilter:
    """Kept documents in one of `languages` (ISO 639-3 codes or `unknown`) and of one of `sources`; empty: of any.

    An entry of `sources` is the identity of a source, the beginning of one up to a slash, or one of its parts (the
    name of a crawl or of a segment).
    """

    languages: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    met: set[str] = field(default_factory=set, compare=False)
    """Entries of `sources` that some record of the table fitted, kept or not."""

    def of(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """The chosen ones of documents rows (they need source, language and reason)."""
        # A row that takes another back is of a stub, and a stub is never kept.
        mask = pc.is_null(rows.column("reason"))
        if self.languages:
            language = pc.fill_null(rows.column("language").cast(pa.string()), UNKNOWN)
            mask = pc.and_(mask, pc.is_in(language, pa.array(self.languages)))
        if self.sources:
            names = rows.column("source").cast(pa.string())
            wanted = [source for source in names.unique().to_pylist() if self._names(source)]
            mask = pc.and_(mask, pc.is_in(names, pa.array(wanted, pa.string())))
        return rows.filter(mask)

    def unmet(self) -> list[str]:
        """Entries of `sources` that fitted nothing so far."""
        return [entry for entry in self.sources if entry not in self.met]

    def _names(self, source: str) -> bool:
        fitting = [entry for entry in self.sources if _fits(entry, source)]
        self.met.update(fitting)
        return bool(fitting)


def _fits(entry: str, source: str) -> bool:
    part = entry.strip("/")
    return source == entry or source.startswith(entry.rstrip("/") + "/") or (bool(part) and f"/{part}/" in source)


def filter_documents(batches: Iterable[pa.RecordBatch], selection: DocumentFilter) -> Iterable[pa.RecordBatch]:
    """The chosen rows of each batch that has any."""
    for batch in batches:
        rows = selection.of(batch)
        if rows.num_rows:
            yield rows
