"""The documents table: its columns, and the version of what its rows mean."""

from __future__ import annotations

import pyarrow as pa

# Raised when a row of the same record would be written differently. A generation keeps the one it was made with.
SCHEMA_VERSION = 2

DOCUMENTS = pa.schema(
    [
        pa.field("source", pa.string(), nullable=False),  # identity of the source
        pa.field("record_offset", pa.int64(), nullable=False),  # byte offset of the record's gzip member in the source
        pa.field("inner_offset", pa.int64(), nullable=False),  # offset inside the decoded member; 0 for one record each
        pa.field("topic_partition", pa.int32()),  # null for a source that was read from its file
        pa.field("topic_offset", pa.int64()),
        pa.field("records", pa.int8(), nullable=False),  # 1; -1 takes a stub back (of a cut record, now whole)
        pa.field("record_id", pa.string()),  # WARC-Record-ID
        pa.field("url", pa.string()),  # WARC-Target-URI
        pa.field("host", pa.string()),  # of the URL, by the URL Standard; null: none
        pa.field("date", pa.timestamp("us", tz="UTC")),  # WARC-Date
        pa.field("language", pa.string()),  # ISO 639-3 code; null: not known
        pa.field("language_method", pa.string()),  # `header` or `detect`
        pa.field("reason", pa.string()),  # why it was rejected; null: kept
        pa.field("tokens", pa.int32(), nullable=False),  # length of the document: tokens after stop words
        pa.field("words", pa.list_(pa.string())),  # the bag, in order of first appearance; null: rejected
        pa.field("counts", pa.list_(pa.int32())),  # how often each of `words` stands in the document
        pa.field("payload_bytes", pa.int64(), nullable=False),  # of a stub: bytes that could not be sent
    ]
)
