"""Redis follows the documents table, whatever was done to it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from redis import Redis

from serving.verify.verify import verify
from sinks.documents.files import write_document_file
from sinks.documents.generations import Generation
from sinks.documents.schema import DOCUMENTS
from sinks.documents.table import Documents
from sinks.keys import live_key, pipeline_pattern
from sinks.statistics.builds import StatisticsBuilds
from sinks.statistics.store import Statistics
from sinks.storage.folder import Folder
from tests.sinks.batches import WORDS, held, row

BATCHES = [
    [row(0, dict.fromkeys(WORDS, 2)), row(1, None, "too_few_words")],
    [row(2, {"alpha": 1, "omega": 3}, source="b")],
    [row(3, {"beta": 1}), row(4, {"alpha": 7}, source="b")],
]


@pytest.fixture
def documents(tmp_path: Path) -> Documents:
    table = Documents.create(Folder(tmp_path / "g1"), {"profile": "p21"})
    table.bind_topic("records", "id", 1)
    return table


@pytest.fixture
def builds(redis_client: Redis, request: pytest.FixtureRequest) -> StatisticsBuilds:
    for key in redis_client.scan_iter(pipeline_pattern(request.node.name)):
        redis_client.delete(key)
    return StatisticsBuilds(redis_client, request.node.name, chunk_words=3, top_words=5)


def add(documents: Documents, rows: list[dict[str, Any]]) -> None:
    file = write_document_file(documents.location, pa.Table.from_pylist(rows, schema=DOCUMENTS), compression_level=1)
    documents.commit([file], {"id/0": rows[-1]["topic_offset"] + 1})


def heal(builds: StatisticsBuilds, documents: Documents) -> Statistics:
    return builds.catch_up(Generation("g1", documents), documents.position())


def assert_right(client: Redis, builds: StatisticsBuilds, documents: Documents) -> None:
    result = verify(client, builds._pipeline, documents)
    assert result.ok, result.differences


def test_an_empty_table_gives_empty_statistics(
    builds: StatisticsBuilds, documents: Documents, redis_client: Redis
) -> None:
    assert heal(builds, documents).position() == {}
    assert_right(redis_client, builds, documents)


def test_stale_redis_gets_only_the_missing_range(
    builds: StatisticsBuilds, documents: Documents, redis_client: Redis
) -> None:
    add(documents, BATCHES[0])
    statistics = heal(builds, documents)
    add(documents, BATCHES[1])
    add(documents, BATCHES[2])
    healed = heal(builds, documents)
    assert healed.keys == statistics.keys, "a range was missing; nothing had to be rebuilt"
    assert_right(redis_client, builds, documents)


def test_redis_flushed_is_rebuilt(builds: StatisticsBuilds, documents: Documents, redis_client: Redis) -> None:
    add(documents, BATCHES[0])
    heal(builds, documents)
    for key in redis_client.scan_iter(pipeline_pattern(builds._pipeline)):
        redis_client.delete(key)
    heal(builds, documents)
    assert_right(redis_client, builds, documents)


def test_redis_ahead_of_a_restored_table_is_rebuilt(
    builds: StatisticsBuilds, documents: Documents, redis_client: Redis, tmp_path: Path
) -> None:
    add(documents, BATCHES[0])
    shutil.copytree(documents.location, tmp_path / "backup")
    add(documents, BATCHES[1])
    heal(builds, documents)
    older = Documents.open(Folder(tmp_path / "backup"))
    heal(builds, older)
    assert_right(redis_client, builds, older)


def test_a_half_counted_micro_batch_is_finished(
    builds: StatisticsBuilds, documents: Documents, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    heal(builds, documents)
    add(documents, BATCHES[0])
    calls = []

    def crash(point: str) -> None:
        calls.append(point)
        if calls.count("redis-chunk") == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr("sinks.statistics.commit.crash_point", crash)
    with pytest.raises(KeyboardInterrupt):
        heal_behind(builds, documents)
    monkeypatch.undo()
    add(documents, BATCHES[1])
    heal(builds, documents)
    assert_right(redis_client, builds, documents)


def heal_behind(builds: StatisticsBuilds, documents: Documents) -> None:
    """Apply the table's first micro-batch to the live (empty) statistics, as the writer would."""
    from sinks.statistics.derive import derive

    statistics = builds.live()
    assert statistics is not None
    statistics.commit(derive(documents.scan()), {}, documents.position())


def test_a_rebuild_switches_readers_at_its_end_and_drops_the_old(
    builds: StatisticsBuilds, documents: Documents, redis_client: Redis
) -> None:
    add(documents, BATCHES[0])
    old = heal(builds, documents)
    before = held(redis_client, old.keys)
    new = builds.rebuild(Generation("g1", documents), documents.position())
    assert redis_client.get(live_key(builds._pipeline)) == new.keys.prefix.encode() != old.keys.prefix.encode()
    assert held(redis_client, new.keys) == before
    assert 0 < redis_client.ttl(old.keys.words) <= 60
    assert redis_client.ttl(new.keys.words) == -1
