"""The documents of a table as bags of word ids, file by file, in an order that depends on what is in them alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from sinks.documents.table import Documents
from topicmodels.lda.inference import join_bags, slice_bags
from topicmodels.lda.kernel import Bags
from topicmodels.vocabulary import TopicVocabulary, WordCounts, whole

KEPT_BYTES: Final = 1 << 30
"""Bags that are kept in memory from one pass to the next."""

DESCRIPTION: Final = ["source", "record_offset", "inner_offset", "url", "date", "language"]

Selection = Mapping[str, NDArray[np.int64]]
"""Row numbers by the path of a file, ascending; files that are not named have none."""


class Cursor(NamedTuple):
    """A place between two documents: a file by its number, and how many documents of it come before."""

    file: int
    document: int


START: Final = Cursor(0, 0)


@dataclass(frozen=True, slots=True)
class FileBags:
    """The documents of a file that have words of the vocabulary.

    Attributes:
        bags: Their bags, with ids of the vocabulary.
        rows: Their rows in the file.
    """

    bags: Bags
    rows: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def nbytes(self) -> int:
        """Size in memory."""
        return int(self.rows.nbytes + sum(array.nbytes for array in self.bags))


class Corpus:
    """Kept documents of one version of a table, in the order of their topic partition and offset, then source.

    That order survives compaction, which joins files of one partition that follow each other.

    Args:
        documents: The table at that version.
        selection: The rows that are meant; None: all kept documents.
    """

    def __init__(self, documents: Documents, selection: Selection | None = None) -> None:
        self.documents = documents
        self._selection = selection
        files = documents.files()
        if selection is not None:
            files = [file for file in files if len(selection.get(file["path"], ()))]
        self.files: list[dict[str, Any]] = sorted(files, key=_place)
        self._kept: dict[int, FileBags] = {}
        self._kept_bytes = 0

    def count(self) -> WordCounts:
        """Count the words of all documents."""
        return WordCounts.of(self.rows(file) for file in range(len(self.files)))

    def rows(self, file: int, columns: Sequence[str] = ("words", "counts")) -> pa.Table:
        """Read some columns of the chosen rows of a file, with their numbers in it as the column `row`.

        Raises:
            DamagedFileError: The file is missing, or is not what was written.
        """
        entry = self.files[file]
        table = self.documents.read_file(entry)
        if self._selection is None:
            chosen = np.flatnonzero(pc.is_null(table["reason"]).to_numpy())
        else:
            chosen = self._selection[entry["path"]]
        return table.select(list(columns)).take(pa.array(chosen)).append_column("row", pa.array(chosen))

    def bags(self, file: int, vocabulary: TopicVocabulary) -> FileBags:
        """Read the bags of a file, or return them if they are still in memory."""
        if file in self._kept:
            return self._kept[file]
        made = _bags(self.rows(file), vocabulary)
        if self._kept_bytes + made.nbytes <= KEPT_BYTES:
            self._kept[file] = made
            self._kept_bytes += made.nbytes
        return made

    def batches(self, vocabulary: TopicVocabulary, size: int, start: Cursor) -> Iterator[tuple[Bags, Cursor]]:
        """Yield mini-batches of `size` documents (the last has fewer), each with the place behind it."""
        parts: list[Bags] = []
        waiting = 0
        for file, found in self._ahead(lambda file: self.bags(file, vocabulary), start.file):
            first = start.document if file == start.file else 0
            while first < len(found):
                end = min(len(found), first + size - waiting)
                parts.append(slice_bags(found.bags, first, end))
                waiting += end - first
                first = end
                if waiting == size:
                    yield join_bags(parts), Cursor(file, end)
                    parts, waiting = [], 0
        if waiting:
            yield join_bags(parts), Cursor(len(self.files), 0)

    def described(self, vocabulary: TopicVocabulary) -> Iterator[tuple[Bags, pa.Table]]:
        """Yield bags, file by file, with the rows of the documents table that they are of."""

        def read(file: int) -> tuple[Bags, pa.Table]:
            rows = self.rows(file, ["words", "counts", *DESCRIPTION])
            found = _bags(rows, vocabulary)
            return found.bags, rows.filter(pc.is_in(rows["row"], pa.array(found.rows))).select(DESCRIPTION)

        for _, made in self._ahead(read, 0):
            yield made

    def _ahead(self, read: Callable[[int], Any], first: int) -> Iterator[tuple[int, Any]]:
        """Read files one ahead of the consumer."""
        with ThreadPoolExecutor(1, "wetstream-topics-read") as reader:
            following: Future[Any] | None = None
            for file in range(first, len(self.files)):
                now = following or reader.submit(read, file)
                following = reader.submit(read, file + 1) if file + 1 < len(self.files) else None
                yield file, now.result()


def _place(file: Mapping[str, Any]) -> tuple[int, int, str, str]:
    partition, offset = file.get("min.topic_partition"), file.get("min.topic_offset")
    return (
        -1 if partition is None else int(partition),
        -1 if offset is None else int(offset),
        file.get("min.source") or "",
        file["path"],
    )


def _bags(rows: pa.Table, vocabulary: TopicVocabulary) -> FileBags:
    """The bags of documents rows with words of the vocabulary."""
    words, counts = whole(rows["words"]), whole(rows["counts"])
    lengths = pc.fill_null(pc.list_value_length(words), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    ids = vocabulary.ids(words.flatten())
    held = ids >= 0
    row = np.repeat(np.arange(len(lengths)), lengths)[held]
    sizes = np.bincount(row, minlength=len(lengths))
    filled = np.flatnonzero(sizes)
    starts = np.zeros(len(filled) + 1, np.int64)
    np.cumsum(sizes[filled], out=starts[1:])
    values: NDArray[np.int32] = counts.flatten().to_numpy(zero_copy_only=False).astype(np.int32)[held]
    return FileBags(Bags(starts, ids[held], values), rows["row"].to_numpy()[filled])
