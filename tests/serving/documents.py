"""A documents table of a few rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from sinks.documents.files import write_document_file
from sinks.documents.hosts import host_of
from sinks.documents.schema import DOCUMENTS
from sinks.documents.table import Documents
from sinks.storage.folder import Folder


def table_of(folder: Path, urls: Sequence[str | None]) -> Documents:
    """A row a URL, of three tokens each."""
    rows = [
        {
            "source": "a.warc.wet.gz",
            "record_offset": number * 100,
            "inner_offset": 0,
            "next_offset": number * 100 + 100,
            "next_inner": 0,
            "topic_partition": 0,
            "topic_offset": number,
            "records": 1,
            "record_id": f"<urn:{number}>",
            "url": url,
            "host": host_of(url),
            "date": None,
            "language": "eng",
            "language_method": None,
            "reason": None,
            "tokens": 3,
            "words": ["alpha"],
            "counts": [3],
            "payload_bytes": 10,
        }
        for number, url in enumerate(urls)
    ]
    documents = Documents.create(Folder(folder / "table"), {"pipeline": "t", "generation": "g"})
    table = pa.Table.from_pylist(rows, schema=DOCUMENTS)
    documents.commit([write_document_file(documents.location, table, compression_level=1)], {"t/0": len(rows)})
    return documents
