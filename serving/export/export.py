"""The documents of a table as a corpus for topic modelling, under thresholds that are applied here and now.

Two passes over the table's files: one counts the words of the chosen documents, one writes their bags. Needs the space
of the vocabulary and of a batch, whatever the number of documents; sorting them may need space in the folder.

What is read is one version of the table: the files of a snapshot are never changed, and a stream that goes on writing
(or compacting) only makes newer versions.
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
from serving.export.folder import new_folder
from serving.export.formats import FORMATS
from serving.export.sorting import sort_rows
from serving.export.vocabulary import Vocabulary, count
from serving.view import EVERYTHING, View
from sinks.documents.table import Documents

SCRATCH = ".scratch"


class ExportError(ExplainedError):
    """There is nothing to export by these options; the message says which one, and what helps."""


@dataclass(frozen=True)
class ExportOptions:
    """What is exported: words in `view` that are no `stop_words`, of documents in `languages` and of `sources`."""

    view: View = EVERYTHING
    stop_words: frozenset[bytes] = frozenset()
    languages: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As `meta.json` tells it; stop words by their number and a hash."""
        words = sorted(self.stop_words)
        stop_words = {"words": len(words), "sha256": hashlib.sha256(b"\n".join(words)).hexdigest()} if words else None
        options: dict[str, Any] = dict(self.view.thresholds)
        return options | {"stop_words": stop_words, "languages": self.languages, "sources": self.sources}


def export(
    form: str, target: Path, documents: Documents, choice: ExportOptions | None = None, *, overwrite: bool = False
) -> dict[str, Any]:
    """Export a documents table to the folder `target` in the format `form` (one of FORMATS); returns what `meta.json`
    holds. `target` is there as a whole or not at all. Raises ExportError, FolderError and CorpusError.
    """
    choice = choice or ExportOptions()
    paths, as_of = documents.file_paths(), _as_of(documents)
    with new_folder(target, files.OUTPUT_FILES, overwrite=overwrite) as folder:
        selection = DocumentFilter(choice.languages, choice.sources)
        counted = count(filter_documents(read_rows(paths), selection))
        if unmet := selection.unmet():
            raise ExportError(f"--source {unmet[0]}: no source of the table is so called; see `wetstream segments`")
        vocabulary = counted.under(choice.view, choice.stop_words)
        scratch = folder / SCRATCH
        scratch.mkdir()
        rows = sort_rows(with_word_ids(filter_documents(read_rows(paths), selection), vocabulary), scratch)
        totals = write_all(folder, form, vocabulary, rows)
        shutil.rmtree(scratch)
        name, first_word, _ = FORMATS[form]
        meta: dict[str, Any] = {
            "format": form,
            "corpus": name,
            "first_word": first_word,
            "as_of": as_of,
            "options": choice.to_json(),
            "counts": {
                "documents": totals.documents,
                "documents_without_words": counted.documents - totals.documents,
                "words": len(vocabulary),
                "words_left_out": len(counted) - len(vocabulary),
                "tokens": totals.tokens,
                "entries": totals.entries,
            },
        }
        files.write_meta(folder, meta)
    return meta


def write_all(folder: Path, form: str, vocabulary: Vocabulary, rows: Iterable[pa.RecordBatch]) -> files.Totals:
    """Every file of an export but `meta.json`; `rows` are those of CORPUS, in order."""
    files.write_vocab(folder, vocabulary)
    if form != "p21":
        files.write_frequency(folder, vocabulary)
        return files.write_corpus(folder, form, vocabulary, rebatch(rows))
    return write_p21(folder, vocabulary, rows, with_documents=True)


def write_p21(
    folder: Path, vocabulary: Vocabulary, rows: Iterable[pa.RecordBatch], *, with_documents: bool = False
) -> files.Totals:
    """The four files of P2.1: dictionary, frequency, statistics, corpus."""
    files.write_dictionary(folder, vocabulary)
    files.write_frequency(folder, vocabulary)
    totals = files.write_corpus(folder, "p21", vocabulary, rebatch(rows), with_documents=with_documents)
    files.write_statistics(folder, vocabulary, totals)
    return totals


def _as_of(documents: Documents) -> dict[str, Any]:
    known = documents.properties
    stored = {name: known.get(name) for name in ("pipeline", "generation", "profile", "rules_hash")}
    return stored | {"table_version": documents.version, "position": documents.position()}
