"""What one Spark task reads, and how its rows are made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa
from pyspark.sql.datasource import InputPartition

from conf.profiles import Profile
from conf.settings import ProducerSettings
from producers.sources.files import SourceReadError
from producers.sources.source import Source
from streaming.tasks.message_batches import message_batches, source_messages
from wetstream.wet.rows import RecordRows
from wetstream.wet.spans import Span, span_messages


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


def read_sources(sources: Sequence[Source], settings: ProducerSettings, format: RowFormat) -> Iterator[pa.RecordBatch]:
    """Yield the rows of whole sources. Raises NotWetError, SourceReadError."""
    for source in sources:
        with naming(source):
            yield from format.rows(source_messages(source, settings))


def read_span(span: Span, settings: ProducerSettings, format: RowFormat) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a span. Raises NotWetError, SourceReadError."""
    with naming(span.source):
        yield from format.rows(message_batches(span_messages(span, settings)))


@contextmanager
def naming(source: Source) -> Iterator[None]:
    """Context in which an error of reading a source becomes one that names it."""
    try:
        yield
    except OSError as error:
        raise SourceReadError(f"{source.name} cannot be read: {error.strerror or error}") from error
