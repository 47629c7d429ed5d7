"""A documents table that grows, its statistics, and certificates."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from redis import Redis

from conf.settings import Settings, load_settings
from serving.verify.verify import verify
from sinks.documents.files import write_document_file
from sinks.documents.generations import Generation
from sinks.documents.schema import DOCUMENTS
from sinks.documents.table import Documents
from sinks.statistics.builds import StatisticsBuilds
from sinks.statistics.store import Statistics
from sinks.storage.folder import Folder
from tests.secured.certificates import Authority
from tests.sinks.batches import WORDS, row, sums_of

BATCHES: list[list[dict[str, Any]]] = [
    [row(0, dict.fromkeys(WORDS, 2)), row(1, None, "too_few_words")],
    [row(2, {"alpha": 1, "omega": 3}, source="b")],
    [row(3, {"beta": 1}), row(4, {"alpha": 7}, source="b")],
    [row(5, {f"word{number}": number + 1 for number in range(20)})],
]


@dataclass
class Counted:
    """A documents table and the statistics of it, in chunks of three words."""

    documents: Documents
    pipeline: str = "main"
    word_shards: int = 1

    def add(self, number: int) -> None:
        """Commit a batch to the table only."""
        rows = BATCHES[number]
        table = pa.Table.from_pylist(rows, schema=DOCUMENTS)
        file = write_document_file(self.documents.location, table, compression_level=1)
        self.documents.commit([file], {"id/0": rows[-1]["topic_offset"] + 1})

    def commit(self, number: int, statistics: Statistics) -> None:
        """Commit a batch to the table and to the statistics, as the stream does."""
        start = dict(self.documents.position())
        self.add(number)
        statistics.commit(sums_of(BATCHES[number]), start, self.documents.position())

    def heal(self, client: Redis) -> Statistics:
        """Bring Redis to the table, as every start does."""
        shards = self.word_shards
        builds = StatisticsBuilds(client, self.pipeline, chunk_words=3, top_words=5, word_shards=shards)
        return builds.catch_up(Generation("g1", self.documents), self.documents.position())

    def check(self, client: Redis) -> None:
        """Every statistic in Redis is what another engine counts in the table."""
        result = verify(client, self.pipeline, self.documents)
        assert result.ok, result.differences


@pytest.fixture
def counted(tmp_path: Path) -> Counted:
    table = Documents.create(Folder(tmp_path / "g1"), {"profile": "p21"})
    table.bind_topic("records", "id", 1)
    return Counted(table)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "certificates")


def settings_of(home: Path, **flags: Any) -> Settings:
    """Settings of a pipeline `main`; keyword names use __ for the dot."""
    given = {name.replace("__", "."): str(value) for name, value in flags.items()}
    return load_settings(flags={"home": str(home), "pipeline": "main"} | given, environ={})
