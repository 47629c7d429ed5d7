"""Exports the documents table as a corpus for topic models, under thresholds.

Two passes over the table's files: one counts the words of the chosen documents, one writes their bags. Memory grows
with the vocabulary, not with the number of documents; sorting them may take space in the folder.

One version of the table is read: its files never change, and a stream that writes or compacts meanwhile only makes
newer versions.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from conf.errors import ExplainedError
from serving.export import files
from serving.export.corpus import read_rows, rebatch, with_word_ids
from serving.export.document_filter import DocumentFilter, filter_documents
from serving.export.formats import FORMATS
from serving.export.prefix import new_export
from serving.export.progress import OnRows, ignore, tracked
from serving.export.sorting import sort_rows
from serving.export.vocabulary import Vocabulary, count
from serving.export.word_ids import WordIds, with_stable_ids
from serving.view import EVERYTHING, View
from sinks.documents.table import Documents
from sinks.storage.folder import Folder
from sinks.storage.location import Location

SCRATCH = ".scratch"


class ExportError(ExplainedError):
    """Nothing can be exported with these options; the message names the option and what helps."""


@dataclass(frozen=True)
class ExportOptions:
    """What to export.

    Attributes:
        view: Only words in this view.
        stop_words: Words to leave out, in UTF-8.
        languages: Only documents in these languages; see `DocumentFilter`.
        sources: Only documents of these sources; see `DocumentFilter`.
    """

    view: View = EVERYTHING
    stop_words: frozenset[bytes] = frozenset()
    languages: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the options as `meta.json` has them; stop words as their number and a hash."""
        words = sorted(self.stop_words)
        stop_words = {"words": len(words), "sha256": hashlib.sha256(b"\n".join(words)).hexdigest()} if words else None
        thresholds: dict[str, Any] = dict(self.view.thresholds)
        return thresholds | {"stop_words": stop_words, "languages": self.languages, "sources": self.sources}


def export(
    form: str,
    target: Location | Path,
    documents: Documents,
    options: ExportOptions | None = None,
    *,
    word_ids: WordIds | None = None,
    overwrite: bool = False,
    on_rows: OnRows = ignore,
) -> dict[str, Any]:
    """Export a documents table.

    Args:
        form: One of FORMATS.
        target: Folder or prefix to make; it appears complete or not at all (see `new_export`).
        documents: The table.
        options: What to export; None: everything.
        word_ids: Stable ids, also of words that this export does not have; None: in bytewise order.
        overwrite: Replace an earlier export.
        on_rows: Called again and again in each of the phases: counting words, sorting, writing.

    Returns:
        What `meta.json` holds.

    Raises:
        ExportError: The table has no source, or no page in a language, that the options name; or stable ids in a format
            that has none.
        WordIdsError: The list of stable ids is damaged.
        FolderError: The folder cannot be made.
        CorpusError: A file of the table cannot be read.
    """
    options = options or ExportOptions()
    if form == "p21" and word_ids is not None:
        raise ExportError("--ids stable: p21 numbers the words in order; choose another format")
    place = Folder(target) if isinstance(target, Path) else target
    parquet, as_of = documents.parquet_files(), _as_of(documents)
    with new_export(place, files.OUTPUT_FILES, overwrite=overwrite) as folder:
        chosen = DocumentFilter(options.languages, options.sources)
        read = documents.row_count()
        counted = count(filter_documents(tracked(read_rows(parquet), "counting words", read, on_rows), chosen))
        _check_met(chosen)
        vocabulary = counted.under(options.view, options.stop_words)
        if word_ids is not None:
            vocabulary = with_stable_ids(vocabulary, word_ids)
        scratch = folder / SCRATCH
        scratch.mkdir()
        kept = filter_documents(tracked(read_rows(parquet), "sorting", read, on_rows), chosen)
        rows = sort_rows(with_word_ids(kept, vocabulary), scratch)
        totals = write_all(folder, form, vocabulary, tracked(rows, "writing", counted.documents, on_rows))
        shutil.rmtree(scratch)
        meta = _described(form) | {
            "as_of": as_of,
            "options": options.to_json(),
            "ids": "sorted" if word_ids is None else "stable",
            "counts": _counts(totals, counted, vocabulary),
        }
        files.write_meta(folder, meta)
    return meta


def _described(form: str) -> dict[str, Any]:
    name, first_word, _ = FORMATS[form]
    return {"format": form, "corpus": name, "first_word": first_word}


def _check_met(chosen: DocumentFilter) -> None:
    """Raise ExportError if the options name a source or a language that no record of the table has."""
    if unmet := chosen.unmet():
        raise ExportError(f"--source {unmet[0]}: no source of the table matches; `wetstream segments` lists them")
    if unmet := chosen.unmet_languages():
        known = ", ".join(sorted(chosen.languages_found)) or "none, since it is empty"
        raise ExportError(f"--language {unmet[0]}: no page of the table is in it; its languages: {known}")


def _counts(totals: files.Totals, counted: Vocabulary, vocabulary: Vocabulary) -> dict[str, int]:
    counts = {
        "documents": totals.documents,
        "documents_without_words": counted.documents - totals.documents,
        "words": vocabulary.words,
        "words_left_out": len(counted) - vocabulary.words,
        "tokens": totals.tokens,
        "entries": totals.entries,
    }
    return counts if vocabulary.held is None else {**counts, "ids": len(vocabulary)}


def write_all(folder: Path, form: str, vocabulary: Vocabulary, rows: Iterable[pa.RecordBatch]) -> files.Totals:
    """Write every file of an export except `meta.json`; `rows` are those of CORPUS, in order."""
    files.write_vocab(folder, vocabulary)
    if form != "p21":
        files.write_frequency(folder, vocabulary)
        return files.write_corpus(folder, form, vocabulary, rebatch(rows))
    return write_p21(folder, vocabulary, rows, with_documents=True)


def write_p21(
    folder: Path, vocabulary: Vocabulary, rows: Iterable[pa.RecordBatch], *, with_documents: bool = False
) -> files.Totals:
    """Write the four files of P2.1: dictionary, frequency, statistics, corpus."""
    files.write_dictionary(folder, vocabulary)
    files.write_frequency(folder, vocabulary)
    totals = files.write_corpus(folder, "p21", vocabulary, rebatch(rows), with_documents=with_documents)
    files.write_statistics(folder, vocabulary, totals)
    return totals


def _as_of(documents: Documents) -> dict[str, Any]:
    known = documents.properties
    stored = {name: known.get(name) for name in ("pipeline", "generation", "profile", "rules_hash")}
    return stored | {"table_version": documents.version, "position": documents.position()}
