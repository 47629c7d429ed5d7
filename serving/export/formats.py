"""The export formats: each writes one corpus file, batch by batch, beside the files that all formats have.

A word is identified by its line in `vocab.txt`, from 0 or, where the format demands it, from 1.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from serving.export import text
from serving.export.corpus import DESCRIPTION

MATRIX_HEADER = b"%%MatrixMarket matrix coordinate real general\n"
SIZES_WIDTH = 63  # three numbers of up to 20 digits; padded, because they are known only at the end


class Writer(Protocol):
    """Context manager that writes one corpus file; leaving it completes the file."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Append the documents of a batch of CORPUS rows, which come in order."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Lines:
    """One line per document."""

    def __init__(self, path: Path, form: Callable[[pa.RecordBatch], pa.Array]) -> None:
        self._file = path.open("xb")
        self._form = form

    def write(self, batch: pa.RecordBatch) -> None:
        """Append a line for each document."""
        self._file.write(text.lines(self._form(batch)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()


class Matrix:
    """Matrix Market coordinates: documents x words, numbered from 1, one line per entry."""

    def __init__(self, path: Path, words: int) -> None:
        self._file = path.open("xb")
        self._words = words
        self._documents = self._entries = 0
        self._file.write(MATRIX_HEADER + b" " * SIZES_WIDTH + b"\n")

    def write(self, batch: pa.RecordBatch) -> None:
        """Append the entries of a batch."""
        entries = text.triples(batch, self._documents)
        self._file.write(text.lines(entries))
        self._documents += batch.num_rows
        self._entries += len(entries)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.seek(len(MATRIX_HEADER))
        self._file.write(f"{self._documents} {self._words} {self._entries}".encode())
        self._file.close()


FEATURES: Final = pa.struct(
    [
        pa.field("type", pa.int8(), nullable=False),  # 0: sparse
        pa.field("size", pa.int32()),
        pa.field("indices", pa.list_(pa.field("element", pa.int32(), nullable=False))),
        pa.field("values", pa.list_(pa.field("element", pa.float64(), nullable=False))),
    ]
)
PARQUET: Final = pa.schema(
    [
        pa.field("id", pa.int64(), nullable=False),
        *DESCRIPTION,
        pa.field("features", FEATURES, nullable=False),
    ]
)


def _spark_field(name: str, kind: object, *, nullable: bool) -> dict[str, object]:
    return {"name": name, "type": kind, "nullable": nullable, "metadata": {}}


def _spark_array(element: str) -> dict[str, object]:
    return {"type": "array", "elementType": element, "containsNull": False}


# Spark reads a column with this description as MLlib vectors, without conversion.
_VECTOR: Final = {
    "type": "udt",
    "class": "org.apache.spark.ml.linalg.VectorUDT",
    "pyClass": "pyspark.ml.linalg.VectorUDT",
    "sqlType": {
        "type": "struct",
        "fields": [
            _spark_field("type", "byte", nullable=False),
            _spark_field("size", "integer", nullable=True),
            _spark_field("indices", _spark_array("integer"), nullable=True),
            _spark_field("values", _spark_array("double"), nullable=True),
        ],
    },
}
_SPARK_NAMES: Final = {
    **dict.fromkeys(("source", "url", "record_id", "language"), "string"),
    "date": "timestamp",
    "features": _VECTOR,
}
SPARK_SCHEMA: Final = {
    "type": "struct",
    "fields": [
        _spark_field(field.name, _SPARK_NAMES.get(field.name, "long"), nullable=field.nullable) for field in PARQUET
    ],
}


class Vectors:
    """Parquet: one row per document, its bag as a sparse vector of Spark's MLlib (a struct for other readers)."""

    def __init__(self, path: Path, words: int) -> None:
        self._file = pq.ParquetWriter(path, PARQUET, compression="zstd", store_schema=False)
        self._file.add_key_value_metadata({"org.apache.spark.sql.parquet.row.metadata": json.dumps(SPARK_SCHEMA)})
        self._words = words
        self._documents = 0

    def write(self, batch: pa.RecordBatch) -> None:
        """Append the documents of a batch, as a row group."""
        n = batch.num_rows
        indices, values = (batch.column(name) for name in ("ids", "counts"))
        fields = [pa.array(np.zeros(n, np.int8)), pa.array(np.full(n, self._words, np.int32))]
        fields += [indices.cast(FEATURES.field("indices").type), values.cast(FEATURES.field("values").type)]
        columns = [pa.array(np.arange(self._documents, self._documents + n)), *batch.columns[: len(DESCRIPTION)]]
        columns.append(pa.StructArray.from_arrays(fields, fields=list(FEATURES)))
        self._file.write_batch(pa.RecordBatch.from_arrays(columns, schema=PARQUET), row_group_size=n)
        self._documents += n

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()


def _p21(batch: pa.RecordBatch) -> pa.Array:
    return text.pairs(batch, ",")


def _svmlight(batch: pa.RecordBatch) -> pa.Array:
    return pc.binary_join_element_wise("0", text.pairs(batch, " ", first_id=1), " ")


def _ldac(batch: pa.RecordBatch) -> pa.Array:
    return pc.binary_join_element_wise(text.word_numbers(batch), text.pairs(batch, " "), " ")


# By format: name of the corpus file, number of word 0 in it, and its writer, given the path and the number of words.
FORMATS: Final[dict[str, tuple[str, int, Callable[[Path, int], Writer]]]] = {
    "p21": ("corpus", 0, lambda path, words: Lines(path, _p21)),
    "svmlight": ("corpus.svmlight", 1, lambda path, words: Lines(path, _svmlight)),
    "ldac": ("corpus.ldac", 0, lambda path, words: Lines(path, _ldac)),
    "matrixmarket": ("corpus.mtx", 1, Matrix),
    "parquet": ("corpus.parquet", 0, Vectors),
}
