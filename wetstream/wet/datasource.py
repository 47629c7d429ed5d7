"""The Spark data source `wet`: WET files as a DataFrame, batch and streaming, without Kafka."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyspark.sql.datasource import DataSource, DataSourceReader, InputPartition
from pyspark.sql.pandas.types import from_arrow_schema, to_arrow_schema
from pyspark.sql.types import StructType

from conf.profiles import Profile
from conf.settings import ProducerSettings, SettingsError
from producers.sources.files import SourceReadError
from producers.sources.source import Source
from streaming.tasks.message_batches import message_batches, source_messages
from wetstream.wet.options import WetOptions
from wetstream.wet.rows import RecordRows, record_schema
from wetstream.wet.spans import Message, Span, span_messages

LIMITS = ("maxFilesPerTrigger", "maxBytesPerTrigger", "maxRecordsPerTrigger")
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

    def streamReader(self, schema: StructType) -> Any:  # noqa: N802  # the name that Spark calls
        """Return the reader of a stream."""
        from wetstream.wet.stream_reader import WetStreamReader

        options = self._options()
        given = {name: self.options[name] for name in LIMITS if name in self.options}
        return WetStreamReader(self._paths(), options, self._format(schema, options), given)

    def _options(self) -> WetOptions:
        limits = [name.lower() for name in LIMITS]
        given = {name.lower(): value for name, value in self.options.items()}
        return WetOptions.parse({name: value for name, value in given.items() if name not in (*limits, *PATHS)}, LIMITS)

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


@dataclass(frozen=True)
class RowFormat:
    """What rows are made: the columns as Spark wants them, and the rules for judging pages. Sent to the executors."""

    schema: pa.Schema
    profile: Profile | None

    def rows(self, messages: Iterator[tuple[pa.Array, pa.Array]]) -> Iterator[pa.RecordBatch]:
        """Yield the rows of batches of keys and values."""
        make = RecordRows(self.profile, self.schema.names)
        for keys, values in messages:
            batch = make.batch(keys, values)
            columns = [column.cast(field.type) for column, field in zip(batch.columns, self.schema, strict=True)]
            yield pa.RecordBatch.from_arrays(columns, schema=self.schema)


class SourcesPartition(InputPartition):
    """Whole sources, which one task reads."""

    def __init__(self, sources: Sequence[Source]) -> None:
        super().__init__(list(sources))
        self.sources = list(sources)


class SpanPartition(InputPartition):
    """A part of one source."""

    def __init__(self, span: Span) -> None:
        super().__init__(span)
        self.span = span


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
        for source in partition.sources:
            with naming(source):
                yield from self._format.rows(source_messages(source, self._options.reading))


def read_span(span: Span, settings: ProducerSettings, format: RowFormat) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a span. Raises NotWetError, SourceReadError."""
    with naming(span.source):
        messages: Iterator[Message] = span_messages(span, settings)
        yield from format.rows(message_batches(messages))


@contextmanager
def naming(source: Source) -> Iterator[None]:
    """Context in which an error of reading a source becomes one that names it."""
    try:
        yield
    except OSError as error:
        raise SourceReadError(f"{source.name} cannot be read: {error.strerror or error}") from error
