"""Reading WET files without a pipeline: records, damage included, as Python objects or Arrow batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from producers.sources.files import SourceReadError
from streaming.tasks.message_batches import BATCH_RECORDS, source_messages
from wetstream.wet.options import WetOptions
from wetstream.wet.rows import RecordRows

# Few enough that the first records come at once.
RECORDS_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class WetRecord:
    """One record of a WET file, or a region of it that cannot be read.

    Attributes:
        source: Identity of the file.
        record_offset: Byte offset of the gzip member in which it begins (of the record, in an uncompressed file).
        inner_offset: Offset inside the decoded member; 0 where each member holds one record.
        next_offset: `record_offset` of the record after it.
        next_inner: `inner_offset` of the record after it.
        record_id: WARC-Record-ID.
        url: WARC-Target-URI.
        host: Host of the URL, lower case, IDNs as Punycode.
        date: WARC-Date; None unless it names a day that exists.
        language_header: WARC-Identified-Content-Language, as it is.
        reason: Why it is not a page: `not_conversion`, `malformed`, `oversize`, `truncated` or `damaged`; None for a
            page.
        detail: What is wrong, for people; None unless it is damaged, truncated or oversize.
        payload_bytes: Size of the payload; of something unreadable, the bytes that it stands for.
        text: The page; bytes that are not UTF-8 are U+FFFD. None unless it is one.
    """

    source: str
    record_offset: int
    inner_offset: int
    next_offset: int
    next_inner: int
    record_id: str | None
    url: str | None
    host: str | None
    date: datetime | None
    language_header: str | None
    reason: str | None
    detail: str | None
    payload_bytes: int
    text: str | None


COLUMNS = tuple(WetRecord.__dataclass_fields__)


def read_wet(*sources: str | Path, **options: Any) -> Iterator[WetRecord]:
    """Iterate over the records of WET files in order, lazily and in bounded memory.

    Nothing is left out: what cannot be read is a record too, with its place, size and `reason`, and the records of a
    file form a chain without gaps.

    Args:
        *sources: Files, folders, globs, URLs (https://, s3://, …) or listings, as `wetstream ingest` takes them.
        **options: `base`, `match`, `offset` and `limit` select among the files found, as for `wetstream ingest`; any
            setting of the section `producer` about reading, such as `max_record_bytes` or `s3_endpoint`.

    Raises:
        SourceNotFoundError: A name has no WET file behind it.
        NotWetError: A file is not WET.
        SourceReadError: A file cannot be read.
        SettingsError: An option is unknown or has a value that it cannot have.

    Example:
        >>> import wetstream
        >>> pages = [record for record in wetstream.read_wet(sample) if record.reason is None]
        >>> pages[0].url.startswith("http"), len(pages)
        (True, 20)
    """
    batches = _batches(sources, WetOptions.parse(options), RecordRows(None, COLUMNS), RECORDS_AT_ONCE)
    return (WetRecord(**row) for batch in batches for row in batch.to_pylist())


def read_wet_batches(
    *sources: str | Path, columns: Sequence[str] | None = None, **options: Any
) -> Iterator[pa.RecordBatch]:
    """Iterate over the records of WET files as Arrow record batches: `read_wet` for Polars, DuckDB and pandas.

    Args:
        *sources: As for `read_wet`.
        columns: Names of the columns to read; None: all.
        **options: As for `read_wet`; and `profile`, the name or path of the rules by which pages are judged. These add
            the columns `language`, `language_method`, `tokens`, `words` and `counts` of the documents table.

    Raises:
        KeyError: There is no column of a given name.

    Example:
        >>> import polars, wetstream
        >>> frame = polars.from_arrow(wetstream.read_wet_batches(sample, columns=["url", "words"], profile="english"))
        >>> frame.columns
        ['url', 'words']
    """
    parsed = WetOptions.parse(options)
    return _batches(sources, parsed, RecordRows(parsed.profile, columns), BATCH_RECORDS)


def _batches(
    names: Sequence[str | Path], options: WetOptions, rows: RecordRows, records: int
) -> Iterator[pa.RecordBatch]:
    for source in options.find(names):
        try:
            for keys, values in source_messages(source, options.reading, records):
                yield rows.batch(keys, values)
        except OSError as error:
            raise SourceReadError(f"{source.name} cannot be read: {error.strerror or error}") from error
