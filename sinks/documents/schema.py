"""Columns of the documents table, and the version of their meaning."""

from __future__ import annotations

import pyarrow as pa

# Increased when the same record would be written as another row. A generation keeps the version it was made with.
# What changed is said in `sinks.upgrades.rows`, which has to know how older rows become rows of this version.
SCHEMA_VERSION = 4

DOCUMENTS = pa.schema(
    [
        pa.field("source", pa.string(), nullable=False),  # identity of the source; `unknown` for a foreign message
        pa.field(
            "record_offset", pa.int64(), nullable=False
        ),  # byte offset of the record's gzip member in the source; -1: foreign
        pa.field("inner_offset", pa.int64(), nullable=False),  # offset inside the decoded member; 0 for one record each
        pa.field("next_offset", pa.int64(), nullable=False),  # where the record after it begins, in the same two terms
        pa.field("next_inner", pa.int64(), nullable=False),
        pa.field("topic_partition", pa.int32()),  # null for a source read from its file
        pa.field("topic_offset", pa.int64()),
        pa.field("records", pa.int8(), nullable=False),  # 1; -1 retracts a stub (of a cut record, now whole)
        pa.field("record_id", pa.string()),  # WARC-Record-ID
        pa.field("url", pa.string()),  # WARC-Target-URI
        pa.field("host", pa.string()),  # of the URL, by the URL Standard; null: none
        pa.field("date", pa.timestamp("us", tz="UTC")),  # WARC-Date
        pa.field("language", pa.string()),  # ISO 639-3 code; null: unknown
        pa.field("language_method", pa.string()),  # `header` or `detect`
        pa.field("reason", pa.string()),  # why the record was rejected; null: kept
        # Length of the document: tokens after stop words. 64 bits, as engines like Polars sum in the column's type.
        pa.field("tokens", pa.int64(), nullable=False),
        pa.field("words", pa.list_(pa.string())),  # the bag, in order of first appearance; null: rejected
        pa.field("counts", pa.list_(pa.int32())),  # how often each of `words` occurs in the document
        pa.field("payload_bytes", pa.int64(), nullable=False),  # for a stub: bytes that could not be sent
    ]
)
