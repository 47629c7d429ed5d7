"""Documents of a few rows, wherever they are."""

from __future__ import annotations

import pyarrow as pa

from conf.profiles import Rules
from sinks.documents.files import write_document_file
from sinks.documents.generations import Generations
from sinks.documents.schema import DOCUMENTS
from sinks.documents.table import Documents
from sinks.storage.location import Location
from tests.sinks.batches import row

RULES = Rules("p21", "hash")


def bound(location: Location) -> Documents:
    """An empty table that is bound to a topic."""
    documents = Generations(location, "main").open_or_create(RULES).documents
    documents.bind_topic("records", "id", 1)
    return documents


def commit(documents: Documents, number: int) -> None:
    """Commit the row at one offset of the topic."""
    rows = pa.Table.from_pylist([row(number, {"alpha": 1, f"word{number}": 2})], schema=DOCUMENTS)
    documents.commit([write_document_file(documents.location, rows, compression_level=1)], {"id/0": number + 1})


def commit_rows(location: Location) -> Documents:
    """A table of three commits."""
    documents = bound(location)
    for number in range(3):
        commit(documents, number)
    return documents
