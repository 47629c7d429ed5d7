"""The Spark data source `wet`: WET files as a DataFrame, batch and streaming, without Kafka."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import pyarrow as pa
from pyspark.sql.datasource import DataSource, DataSourceReader, InputPartition
from pyspark.sql.pandas.types import from_arrow_schema, to_arrow_schema
from pyspark.sql.types import StructType

from conf.settings import SettingsError
from wetstream.wet.options import WetOptions
from wetstream.wet.partitions import RowFormat, SourcesPartition, read_sources
from wetstream.wet.rows import record_schema
from wetstream.wet.stream_reader import LIMITS, WetStreamReader

PATHS = ("path", "paths")
# Small files share a task beyond this number of tasks.
MOST_TASKS = 10_000


class WetDataSource(DataSource):
    """Reads WET files into Spark, damage included.

    Register it once a session: `spark.dataSource.register(wetstream.WetDataSource)`.

    `spark.read.format("wet").load(path)` takes what `wetstream ingest` takes: a file, folder, glob, URL or listing;
    `spark.readStream.format("wet")` also takes the files that appear there later, and what is appended to a file that
    was cut. Rows are those that a producer would put into the topic, in the same order within a file, with the columns
    of the documents table that a file alone can give, and the `text`. What cannot be read is a row with a `reason`.

    A task reads a file. Where a schema is given (`.schema("url string, text string")`), only these columns are made.

    Options, as text: `profile` (name or path: pages are judged, and have the columns `language`, `tokens`, `words`,
    `counts`), `base`, `match`, `offset`, `limit`, and the settings of the section `producer` about reading, such as
    `max_record_bytes`, `verify_digests`, `s3_endpoint`. For a stream also one of `maxFilesPerTrigger`,
    `maxBytesPerTrigger` (of the files; at least one file) and `maxRecordsPerTrigger` (exact, by reading twice).

    Where Spark loads it, the executors need the wetstream package.
    """

    @classmethod
    def name(cls) -> str:
        """Return the name of the format."""
        return "wet"

    def schema(self) -> StructType:
        """Return the columns, which depend on whether a `profile` is given."""
        return from_arrow_schema(record_schema(judged=self._options().profile is not None))

    def reader(self, schema: StructType) -> DataSourceReader:
        """Return the reader of a batch."""
        options = self._options()
        return WetBatchReader(self._paths(), options, self._format(schema, options))

    def streamReader(self, schema: StructType) -> WetStreamReader:  # noqa: N802  # the name that Spark calls
        """Return the reader of a stream."""
        options = self._options()
        given = {name: self.options[name] for name in LIMITS if name in self.options}
        return WetStreamReader(self._paths(), options, self._format(schema, options), given)

    def _options(self) -> WetOptions:
        elsewhere = {*(name.lower() for name in LIMITS), *PATHS}
        given = {name.lower(): value for name, value in self.options.items()}
        return WetOptions.parse({name: given[name] for name in given if name not in elsewhere}, tuple(LIMITS))

    def _paths(self) -> list[str]:
        if "paths" in self.options:
            return [str(path) for path in json.loads(self.options["paths"])]
        if "path" in self.options:
            return [self.options["path"]]
        raise SettingsError('format "wet" needs the files to read: .load("crawl/*.warc.wet.gz")')

    def _format(self, schema: StructType, options: WetOptions) -> RowFormat:
        known = record_schema(judged=options.profile is not None)
        found = to_arrow_schema(schema, timezone="UTC")
        for field in found:
            if field.name not in known.names:
                hint = " (set the option profile)" if field.name in record_schema(judged=True).names else ""
                raise SettingsError(f'format "wet" has no column {field.name}{hint}: it has {", ".join(known.names)}')
        columns = from_arrow_schema(pa.schema([known.field(name) for name in found.names]))
        for wanted, given in zip(to_arrow_schema(columns, timezone="UTC"), found, strict=True):
            if wanted.type != given.type:
                raise SettingsError(f'column {given.name} of format "wet" is {wanted.type}, not {given.type}')
        return RowFormat(found, options.profile)


class WetBatchReader(DataSourceReader):
    """Reads all files once."""

    def __init__(self, paths: Sequence[str], options: WetOptions, format: RowFormat) -> None:
        self._paths = paths
        self._options = options
        self._format = format

    def partitions(self) -> list[InputPartition]:
        """Find the files. Raises what `discover` raises."""
        sources = list(self._options.find(self._paths))
        tasks = min(len(sources), MOST_TASKS)
        return [SourcesPartition(sources[number::tasks]) for number in range(tasks)]

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a task. Raises NotWetError, SourceReadError."""
        assert isinstance(partition, SourcesPartition)
        return read_sources(partition.sources, self._options.reading, self._format)
