"""Writes the files of an export: vocabulary, documents, corpus and totals."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from serving.export import text
from serving.export.corpus import DESCRIPTION
from serving.export.formats import FORMATS, Writer
from serving.export.statistics import statistics_lines
from serving.export.vocabulary import Vocabulary

VOCAB, FREQUENCY, DOCUMENTS, META = "vocab.txt", "frequency", "documents.parquet", "meta.json"
DICTIONARY, STATISTICS = "dictionary", "statistics"
# Everything that any export writes: only a folder that holds nothing else is ever replaced.
OUTPUT_FILES = frozenset(
    {VOCAB, FREQUENCY, DOCUMENTS, META, DICTIONARY, STATISTICS, *(name for name, *_ in FORMATS.values())}
)
DOCUMENT_LIST = pa.schema(
    [
        pa.field("id", pa.int64(), nullable=False),
        *DESCRIPTION,
        pa.field("tokens", pa.int64(), nullable=False),
    ]
)
WORDS_AT_ONCE = 1 << 16


@dataclass
class Totals:
    """What was written: documents by length in tokens, and entries (pairs of a document and a word)."""

    lengths: Counter[int] = field(default_factory=Counter)
    entries: int = 0

    @property
    def documents(self) -> int:
        """Number of documents, all of which have a word."""
        return sum(self.lengths.values())

    @property
    def tokens(self) -> int:
        """Number of tokens."""
        return sum(length * documents for length, documents in self.lengths.items())

    def add(self, batch: pa.RecordBatch) -> np.ndarray:
        """Add a batch of CORPUS rows, and return the lengths of its documents in tokens."""
        counts = batch.column("counts")
        values = counts.flatten().to_numpy().astype(np.int64)
        lengths = np.add.reduceat(values, (counts.offsets.to_numpy() - counts.offsets[0].as_py())[:-1])
        self.lengths.update(lengths.tolist())
        self.entries += len(values)
        return lengths


class DocumentList:
    """`documents.parquet`: the source of each document; its id is its row in the corpus, from 0."""

    def __init__(self, path: Path) -> None:
        self._file = pq.ParquetWriter(path, DOCUMENT_LIST, compression="zstd", store_schema=False)
        self._documents = 0

    def write(self, batch: pa.RecordBatch, lengths: np.ndarray) -> None:
        """Append the documents of a batch."""
        n = batch.num_rows
        ids = pa.array(np.arange(self._documents, self._documents + n))
        columns = [ids, *batch.columns[: len(DESCRIPTION)], pa.array(lengths)]
        self._file.write_batch(pa.RecordBatch.from_arrays(columns, schema=DOCUMENT_LIST), row_group_size=n)
        self._documents += n

    def close(self) -> None:
        """Complete the file."""
        self._file.close()


def write_corpus(
    folder: Path, form: str, vocabulary: Vocabulary, batches: Iterable[pa.RecordBatch], *, with_documents: bool = True
) -> Totals:
    """Write the corpus file of a format, and `documents.parquet`, in one pass over CORPUS rows."""
    name, _, make = FORMATS[form]
    totals = Totals()
    with ExitStack() as files:
        writer: Writer = files.enter_context(make(folder / name, len(vocabulary)))
        listed: DocumentList | None = None
        if with_documents:
            listed = DocumentList(folder / DOCUMENTS)
            files.callback(listed.close)
        for batch in batches:
            writer.write(batch)
            lengths = totals.add(batch)
            if listed is not None:
                listed.write(batch, lengths)
    return totals


def write_vocab(folder: Path, vocabulary: Vocabulary) -> None:
    """Write `vocab.txt`: one word per line; the first one is word 0."""
    _write_lines(folder / VOCAB, vocabulary, lambda words, first: words["word"].cast(pa.string()))


def write_frequency(folder: Path, vocabulary: Vocabulary) -> None:
    """Write `frequency`: word, tf and df, separated by tabs, in the order of the ids."""
    _write_lines(folder / FREQUENCY, vocabulary, lambda words, first: _tabbed(words["word"], words["tf"], words["df"]))


def write_dictionary(folder: Path, vocabulary: Vocabulary) -> None:
    """Write `dictionary`: word and id, separated by a tab."""

    def line(words: pa.RecordBatch, first: int) -> pa.Array:
        return _tabbed(words["word"], pa.array(np.arange(first, first + words.num_rows)))

    _write_lines(folder / DICTIONARY, vocabulary, line)


def write_statistics(folder: Path, vocabulary: Vocabulary, totals: Totals) -> None:
    """Write `statistics`: the 12 lines of P2.1."""
    lines = statistics_lines(len(vocabulary), totals.lengths)
    (folder / STATISTICS).write_text("".join(f"{line}\n" for line in lines))


def write_meta(folder: Path, meta: dict[str, Any]) -> None:
    """Write `meta.json`: format, options, counts, and the version of the table."""
    (folder / META).write_text(json.dumps(meta, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _tabbed(*columns: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise(*(column.cast(pa.string()) for column in columns), "\t")


def _write_lines(path: Path, vocabulary: Vocabulary, line: Any) -> None:
    first = 0
    with path.open("xb") as file:
        for words in vocabulary.table.to_batches(max_chunksize=WORDS_AT_ONCE):
            file.write(text.lines(line(words, first)))
            first += words.num_rows
