"""The documents table of a pipeline, for reading with whatever one works with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from wetstream.tables.frame import Frame

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable
    from pyspark.sql import DataFrame, SparkSession

    from sinks.documents.table import Documents


class DocumentsTable(Frame):
    """The documents of the live generation, at one version: a row for every record, kept or not.

    It is a plain Delta table: `delta` opens it as one, for whatever reads Delta lazily, such as
    `polars.scan_delta(table.path)`. Reading here verifies the checksums of its files.
    """

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    def __len__(self) -> int:
        return self._documents.row_count()

    def __repr__(self) -> str:
        return f"DocumentsTable({self.path!r}, version {self.version}, {len(self):,} rows)"

    @property
    def path(self) -> str:
        """Where the Delta table is: an absolute path, or the URL of an object store."""
        return self._documents.location.uri

    @property
    def version(self) -> int:
        """Its Delta version."""
        return self._documents.version

    @property
    def delta(self) -> DeltaTable:
        """The table for the `deltalake` package, at this version. Read it only: wetstream alone writes to it."""
        return self._documents.delta_table()

    def files(self) -> list[str]:
        """Return the paths of its Parquet files."""
        return self._documents.file_paths()

    def history(self, limit: int = 20) -> list[dict[str, Any]]:
        """Return its last commits, newest first."""
        return self._documents.history(limit)

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Iterate over its rows as Arrow batches, in bounded memory.

        Args:
            columns: Names of the columns to return; None: all.

        Raises:
            DamagedFileError: A file is missing, or is not what was written.
        """
        from sinks.documents.schema import DOCUMENTS

        names = DOCUMENTS.names if columns is None else list(columns)
        for batch in self._documents.scan():
            yield _without_dictionaries(batch.select(names))

    def to_arrow(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Return its rows as an Arrow table.

        Args:
            columns: Names of the columns to return; None: all. The bags (`words`, `counts`) take most of the memory.

        Raises:
            DamagedFileError: A file is missing, or is not what was written.
        """
        import pyarrow as pa

        from sinks.documents.schema import DOCUMENTS

        fields = list(DOCUMENTS) if columns is None else [DOCUMENTS.field(name) for name in columns]
        schema = pa.schema([pa.field(field.name, field.type) for field in fields])
        return pa.Table.from_batches(self.batches(columns), schema=schema)

    def to_spark(self, spark: SparkSession) -> DataFrame:
        """Return its rows as a lazy Spark frame over the files of this version.

        Needs no Delta connector. The executors must reach the folder of the table.
        """
        from pyspark.sql.pandas.types import from_arrow_schema

        from sinks.documents.schema import DOCUMENTS

        schema = from_arrow_schema(DOCUMENTS)
        files = self.files()
        return spark.read.schema(schema).parquet(*files) if files else spark.createDataFrame([], schema)


def _without_dictionaries(batch: pa.RecordBatch) -> pa.RecordBatch:
    import pyarrow as pa

    from sinks.documents.schema import DOCUMENTS

    fields = [pa.field(name, DOCUMENTS.field(name).type) for name in batch.schema.names]
    columns = [column.cast(field.type) for column, field in zip(batch.columns, fields, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields))
