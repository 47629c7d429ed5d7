"""Ids of words that never change, from one export to the next.

They are an append-only list of words beside the documents: the id of a word is its place in it. A word gets its id when
it is first exported. Each export that finds new words adds one file, which is there completely or not at all, under the
next number, which only one process can take. So no two words have one id, no word has two, and a crash leaves no gap.
"""

from __future__ import annotations

import io
import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from conf.crash_points import crash_point
from conf.errors import ExplainedError
from serving.export.vocabulary import Vocabulary
from sinks.storage.location import ConflictError, Location

FOLDER = "word-ids"
FILE = re.compile(r"\d{8}\.parquet")
FIRST_ID = b"wetstream.first_id"


class WordIdsError(ExplainedError):
    """The list of word ids is damaged; the message names the file and the remedy."""


class WordIds:
    """The word ids of a pipeline.

    Args:
        folder: Where its list is; all generations share it.
    """

    def __init__(self, folder: Location) -> None:
        self._folder = folder

    def words(self) -> pa.Array:
        """Return all words that have an id, binary, in order of the ids. Raises WordIdsError."""
        return self._read()[0]

    def assign(self, words: pa.Array) -> pa.Array:
        """Give ids to those of these words that have none, in their order, and return `words()`.

        Args:
            words: Distinct words, binary.

        Raises:
            WordIdsError: A file of the list is missing, or is not what was written.
        """
        while True:
            known, files = self._read()
            fresh = words.filter(pc.invert(pc.is_in(words, known)))
            if not len(fresh):
                return known
            table = pa.table({"word": fresh}).replace_schema_metadata({FIRST_ID: str(len(known))})
            data = io.BytesIO()
            pq.write_table(table, data, compression="zstd", write_page_checksum=True)
            self._folder.make()
            crash_point("before-word-ids")
            try:
                (self._folder / f"{files:08}.parquet").replace(data.getvalue(), None)
            except ConflictError:
                continue  # another export has taken this number: its words have ids now
            crash_point("after-word-ids")
            return pa.concat_arrays([known, fresh])

    def _read(self) -> tuple[pa.Array, int]:
        """Return all words, and the number of files that hold them."""
        names = sorted(name for name in self._folder.files() if FILE.fullmatch(name))
        parts = [pa.array([], pa.binary())]
        held = 0
        for number, name in enumerate(names):
            try:
                file = pq.ParquetFile(io.BytesIO((self._folder / name).read().data), page_checksum_verification=True)
                words = file.read()["word"].cast(pa.binary()).combine_chunks()
                first = int((file.schema_arrow.metadata or {})[FIRST_ID])
            except (pa.ArrowException, KeyError, ValueError, OSError) as error:
                raise self._damaged(name) from error
            if (name, first) != (f"{number:08}.parquet", held):
                raise self._damaged(f"{number:08}.parquet")
            parts.append(words)
            held += len(words)
        return pa.concat_arrays(parts), len(names)

    def _damaged(self, name: str) -> WordIdsError:
        return WordIdsError(
            f"{self._folder / name} is missing or damaged, and with it the ids of words: restore the folder from a "
            "backup, or move it away to begin new ids"
        )


def with_stable_ids(vocabulary: Vocabulary, ids: WordIds) -> Vocabulary:
    """Return a vocabulary with stable ids: all words that have one, those outside of this export with zeros.

    Raises WordIdsError.
    """
    words = vocabulary.table["word"].combine_chunks()
    numbered = ids.assign(words)
    at = pc.fill_null(pc.index_in(numbered, value_set=words), -1).to_numpy(zero_copy_only=False)
    held = at >= 0
    columns = {}
    for name in ("tf", "df"):
        values = vocabulary.table[name].to_numpy()
        columns[name] = np.where(held, values[at], 0) if len(values) else np.zeros(len(at), np.int64)
    return Vocabulary(pa.table({"word": numbered, **columns}), vocabulary.documents, held)
