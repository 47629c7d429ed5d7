"""Documents as exports write them: bags of word ids, in batches of a fixed size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from conf.errors import ExplainedError
from serving.export.vocabulary import Vocabulary, encoded
from sinks.documents.parquet_files import ParquetFiles
from sinks.storage.location import Location

# What is told of each document, as in the documents table.
DESCRIPTION = [
    pa.field("source", pa.string(), nullable=False),
    pa.field("record_offset", pa.int64(), nullable=False),
    pa.field("inner_offset", pa.int64(), nullable=False),
    pa.field("url", pa.string()),
    pa.field("record_id", pa.string()),
    pa.field("date", pa.timestamp("us", tz="UTC")),
    pa.field("language", pa.string()),
]
# One row per document: ascending word ids, and the number of occurrences of each.
CORPUS = pa.schema(
    [
        *DESCRIPTION,
        pa.field("ids", pa.list_(pa.int32()), nullable=False),
        pa.field("counts", pa.list_(pa.int32()), nullable=False),
    ]
)
COLUMNS = [*(field.name for field in DESCRIPTION), "reason", "words", "counts"]
READ_ROWS = 1 << 12
BATCH_ROWS = 1 << 13


class CorpusError(ExplainedError):
    """A file of documents cannot be read; the message names it and what helps."""


def read_rows(files: ParquetFiles) -> Iterator[pa.RecordBatch]:
    """Read what an export needs of documents rows.

    Args:
        files: Parquet files with the columns COLUMNS.

    Yields:
        Rows, file by file, `words` dictionary-encoded.

    Raises:
        CorpusError: A file is missing or damaged.
    """
    for location in files.locations:
        yield from _read(location)


def _read(location: Location) -> Iterator[pa.RecordBatch]:
    # Not around the `yield`: errors of the consumer are its own.
    batches = None
    while True:
        try:
            if batches is None:
                file = pq.ParquetFile(
                    location.open(), read_dictionary=["words.list.element"], page_checksum_verification=True
                )
                batches = file.iter_batches(batch_size=READ_ROWS, columns=COLUMNS)
            batch = next(batches, None)
        except (OSError, pa.ArrowException) as error:
            raise CorpusError(
                f"{location} cannot be read ({error}): if the table was vacuumed meanwhile, run the command again; "
                "otherwise restore the file from a backup, or process the sources again with `wetstream replay`"
            ) from error
        if batch is None:
            file.close()
            return
        yield batch


def with_word_ids(batches: Iterable[pa.RecordBatch], vocabulary: Vocabulary) -> Iterator[pa.RecordBatch]:
    """Convert kept documents to rows of CORPUS with words of the vocabulary; documents without any are dropped."""
    dictionary: pa.Array | None = None
    ids = np.zeros(0, np.int32)
    for batch in batches:
        words = encoded(batch)
        # The batches of a row group share their dictionary, so it is looked up once.
        if dictionary is None or not words.dictionary.equals(dictionary):
            dictionary = words.dictionary
            ids = vocabulary.ids(dictionary)
        found = _numbered(batch, ids[words.indices.to_numpy()])
        if found.num_rows:
            yield found


def _numbered(batch: pa.RecordBatch, ids: np.ndarray) -> pa.RecordBatch:
    counts = batch.column("counts").flatten().to_numpy()
    lengths = batch.column("counts").value_lengths().fill_null(0).to_numpy()
    row = np.repeat(np.arange(batch.num_rows, dtype=np.int64), lengths)
    held = ids >= 0
    row, ids, counts = row[held], ids[held], counts[held]
    order = np.argsort((row << 32) | ids, kind="stable")
    offsets = np.zeros(batch.num_rows + 1, np.int32)
    np.cumsum(np.bincount(row, minlength=batch.num_rows), out=offsets[1:])
    bounds = pa.array(offsets)
    columns = [batch.column(field.name).cast(field.type) for field in DESCRIPTION]
    columns += [pa.ListArray.from_arrays(bounds, pa.array(values[order])) for values in (ids, counts)]
    return pa.RecordBatch.from_arrays(columns, schema=CORPUS).filter(pa.array(np.diff(offsets) > 0))


def rebatch(batches: Iterable[pa.RecordBatch], rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
    """Yield the same rows in batches of `rows`; the last may have fewer."""
    waiting: list[pa.RecordBatch] = []
    size = 0
    for batch in batches:
        waiting.append(batch)
        size += batch.num_rows
        while size >= rows:
            joined = _joined(waiting)
            yield joined.slice(0, rows)
            size -= rows
            waiting = [joined.slice(rows)]
    if size:
        yield _joined(waiting)


def _joined(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    return pa.concat_batches(batches) if len(batches) > 1 else batches[0]
