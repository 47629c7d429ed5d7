"""Spark's tasks count a documents table as one process does."""

from __future__ import annotations

import random
from pathlib import Path

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from conf.settings import load_settings
from sinks.documents.errors import DocumentsError
from sinks.documents.files import write_document_file
from sinks.documents.schema import DOCUMENTS
from sinks.documents.table import Documents
from sinks.statistics.derive import derive
from sinks.storage.folder import Folder
from streaming.tasks import recount
from streaming.tasks.recount import SparkRecount, plan_groups
from tests.sinks.batches import WORDS, row

FILES, ROWS = 23, 40


@pytest.fixture
def documents(tmp_path: Path) -> Documents:
    table = Documents.create(Folder(tmp_path / "g1"), {"profile": "p21"})
    table.bind_topic("records", "id", 1)
    chance = random.Random(1)
    for number in range(FILES):
        rows = []
        for offset in range(number * ROWS, (number + 1) * ROWS):
            bag = {word: chance.randint(1, 9) for word in chance.sample([*WORDS, f"only {offset}"], 4)}
            reason = chance.choice([None, None, "too_few_words", "malformed"])
            rows.append(row(offset, None if reason else bag, reason, source=f"s{offset % 5}"))
        file = write_document_file(table.location, pa.Table.from_pylist(rows, schema=DOCUMENTS), compression_level=1)
        table.commit([file], {"id/0": (number + 1) * ROWS})
    return table


def test_tasks_count_what_one_process_counts(
    documents: Documents, spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recount, "ACTION_TASKS", 3)
    monkeypatch.setattr(recount, "TASK_BYTES", 5 * documents.files()[0]["size_bytes"] // 2)
    monkeypatch.setattr(recount, "PENDING_ROWS", 100)
    settings = load_settings(flags={"home": str(tmp_path), "stream.min_partitions": 2}, environ={})
    counted, expected = SparkRecount(spark, settings, small_bytes=0)(documents), derive(documents.scan())
    assert counted.words.equals(expected.words)
    assert counted.words.num_rows > 100
    assert (counted.lengths, counted.sources) == (expected.lengths, expected.sources)
    assert (counted.languages, counted.tlds, counted.days) == (expected.languages, expected.tlds, expected.days)
    damaged = documents.location / documents.files()[7]["path"]
    Path(damaged).write_bytes(damaged.read().data[:-5])
    with pytest.raises(DocumentsError, match=damaged.name):
        SparkRecount(spark, settings, small_bytes=0)(documents)


def test_groups_hold_every_file_once() -> None:
    files = [{"path": f"{n}", "size_bytes": n % 7, "num_records": 1} for n in range(100)] + [
        {"path": "large", "size_bytes": 50, "num_records": 1}
    ]
    groups = list(plan_groups(files, 10))
    assert [file["path"] for group in groups for file in group] == [file["path"] for file in files]
    assert all(len(group) == 1 or sum(file["size_bytes"] for file in group) <= 10 for group in groups)
