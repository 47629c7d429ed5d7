"""Spark's tasks join files beside the stream; the table changes only when its writer commits what they wrote."""

from __future__ import annotations

import threading
from pathlib import Path

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from conf.settings import Settings, load_settings
from sinks.documents.compaction import commit_joins
from sinks.documents.errors import DocumentsError
from sinks.documents.files import write_document_file
from sinks.documents.schema import DOCUMENTS
from sinks.documents.table import Documents
from sinks.storage.folder import Folder
from streaming.tasks.compaction import BackgroundCompaction
from tests.sinks.batches import row

PARTITIONS, FILES = 2, 3


@pytest.fixture
def documents(tmp_path: Path) -> Documents:
    table = Documents.create(Folder(tmp_path / "g1"), {"profile": "p21"})
    table.bind_topic("records", "id", PARTITIONS)
    for offset in range(FILES):
        for partition in range(PARTITIONS):
            rows = [row(offset, {"alpha": 1 + offset}) | {"topic_partition": partition}]
            written = pa.Table.from_pylist(rows, schema=DOCUMENTS)
            file = write_document_file(table.location, written, compression_level=1)
            table.commit([file], {f"id/{partition}": offset + 1})
    return table


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(flags={"home": str(tmp_path)}, environ={})


def contents(documents: Documents) -> list[dict[str, object]]:
    rows = [found for batch in documents.scan() for found in batch.to_pylist()]
    return sorted(rows, key=lambda found: (found["topic_partition"], found["topic_offset"]))


def test_tasks_join_files_which_the_writer_commits(
    documents: Documents, spark: SparkSession, settings: Settings
) -> None:
    before, version = contents(documents), documents.version
    compaction = BackgroundCompaction(spark, settings)
    compaction.start(documents)
    compaction.finish(threading.Event(), begin_more=True)
    assert Documents.open(documents.location).version == version
    joins = compaction.take()
    assert len(joins) == PARTITIONS and compaction.take() == []
    commit_joins(documents, joins)
    again = Documents.open(documents.location)
    assert (len(again.files()), contents(again)) == (PARTITIONS, before)

    rows = pa.Table.from_pylist([row(9, {"beta": 1}) | {"topic_partition": 0}], schema=DOCUMENTS)
    documents.commit([write_document_file(documents.location, rows, compression_level=1)], {"id/0": 10})
    for path in documents.file_paths():
        Path(path).write_bytes(Path(path).read_bytes()[:-5])
    compaction = BackgroundCompaction(spark, settings)
    compaction.start(documents)
    compaction.finish(threading.Event(), begin_more=True)
    with pytest.raises(DocumentsError, match="documents file"):
        compaction.take()


def test_an_aborted_compaction_hands_over_nothing_more(
    documents: Documents, spark: SparkSession, settings: Settings
) -> None:
    compaction = BackgroundCompaction(spark, settings)
    compaction._ending.set()
    compaction.start(documents)
    compaction.abort()
    assert compaction.take() == []
