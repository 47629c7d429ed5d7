"""Pipelines that older versions made (tests/data/upgrades) are upgraded, and go on from there."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.transaction import AddAction
from kafka import KafkaProducer

from producers.sources.identity import source_id
from producers.topic.topics import delete_topics, ensure_topics
from sinks.documents.errors import DocumentsError, OldSchemaError
from sinks.documents.hosts import hosts_of
from sinks.documents.log import COMMITS, TOPIC_COMMITS, partition_key
from sinks.documents.table import Documents
from sinks.storage.folder import Folder
from sinks.upgrades.rows import schema_of
from tests.harness import Command, Pipeline
from wetstream import ExplainedError, RowsDone

Make = Callable[..., Pipeline]
DATA = Path(__file__).parents[1] / "data" / "upgrades"
WHOLE, CUT = (
    DATA / "crawl-data/CC-MAIN-2016-50/segments/1480698540409.8/wet" / f"{name}.warc.wet.gz"
    for name in ("whole", "cut")
)
VERSIONS = (1, 3)


def install(version: int, documents: Path, pipeline: str) -> dict[str, Any]:
    """Put the documents that an older version made into the folder of a pipeline; what that version verified."""
    shutil.copytree(DATA / f"schema-{version}" / "documents", documents / pipeline)
    verified: dict[str, Any] = json.loads((DATA / f"schema-{version}" / "verified.json").read_text())
    return verified


def folder_of(pipeline: Pipeline) -> Path:
    return pipeline.settings.home / "documents"


def rows_of(pipeline: Pipeline) -> list[dict[str, Any]]:
    rows = [row for batch in pipeline.documents.scan() for row in batch.to_pylist()]
    return sorted(rows, key=lambda row: (row["source"], row["record_offset"], row["inner_offset"], row["records"]))


@pytest.mark.parametrize("version", VERSIONS)
def test_a_pipeline_of_an_older_version_is_upgraded_and_goes_on(
    version: int, make_pipeline: Make, sample: Path
) -> None:
    pipeline = make_pipeline()
    verified = install(version, folder_of(pipeline), pipeline.settings.pipeline)
    with pytest.raises(OldSchemaError, match=f"schema version {version}; .*`wetstream upgrade`"):
        pipeline.stream()
    public = pipeline.public
    planned = public.upgrade(dry_run=True)
    assert (planned.schema_version, planned.to_version, planned.records) == (version, 4, verified["records"])
    assert planned.needed and planned.upgraded is None and not planned.notes
    assert [(each.generation, each.state) for each in public.generations()] == [("g1", "live")]

    seen: list[Any] = []
    public.on_event = seen.append
    done = public.upgrade()
    assert (done.upgraded, done.records, done.notes) == ("g2", verified["records"], [])
    assert [event.rows for event in seen if isinstance(event, RowsDone)][-1] == verified["records"]
    assert [(each.generation, each.state) for each in public.generations()] == [("g1", "old"), ("g2", "live")]
    assert not public.upgrade().needed
    assert public.statistics.stats()["records"] == verified["records"]
    assert (pipeline.verified().records, pipeline.verified().digest) == (verified["records"], verified["digest"])

    # The rows are those that this version writes, but for what an older one could not know.
    today = make_pipeline(pipeline=pipeline.settings.pipeline + "-today")
    today.replay(WHOLE, CUT)
    expected, found = rows_of(today), rows_of(pipeline)
    last = max(row["record_offset"] for row in expected if row["source"] == source_id(WHOLE))
    for row, other in zip(expected, found, strict=True):
        if version < 3 and (row["source"], row["record_offset"]) == (source_id(WHOLE), last):
            assert (other["next_offset"], other["next_inner"]) > (last, 0)
            row = {**row, **{name: other[name] for name in ("next_offset", "next_inner")}}
        assert row == other
    assert today.verified().digest == verified["digest"]

    pipeline.ingest(sample, WHOLE)  # WHOLE is there from its file: the topic's records of it are left out
    pipeline.stream()
    assert pipeline.verified().records == verified["records"] + 301
    assert pipeline.remove(sample) == 301
    assert pipeline.verified().digest == verified["digest"]
    assert pipeline.remove(WHOLE, CUT) == verified["records"]
    with pytest.raises(OldSchemaError, match="drop g1"):
        public.switch_generation("g1")
    public.drop_generation("g1")
    assert [each.generation for each in public.generations()] == ["g2"]


POINTS = [
    "upgrade-generation-made",
    "upgrade-file-written",
    "before-upgrade-commit",
    "after-upgrade-commit",
    "before-upgrade-switch",
    "after-upgrade-switch",
]


@pytest.mark.timeout(600)
def test_an_upgrade_is_killed_at_each_step(wetstream: Command, make_pipeline: Make) -> None:
    settings = make_pipeline().settings
    verified = install(1, settings.home / "documents", settings.pipeline)
    for point in POINTS:
        done = wetstream("upgrade", code=None, WETSTREAM_CRASH_AT=point)
        assert done.returncode == -signal.SIGKILL, f"{point} was not reached: {done.stderr}"
        if point != POINTS[-1]:
            assert "wetstream upgrade" in wetstream("verify", code=1).stderr
    assert "nothing to do" in wetstream("upgrade").stdout
    result = wetstream.json("verify")
    assert (result["ok"], result["digest"]) == (True, verified["digest"])
    names = [row["generation"] for row in wetstream.json("generations", "list")]
    assert len(names) == 2 and names[0] == "g1"  # nothing half-made is left


def from_topic(pipeline: Pipeline, topic_id: str, name: str) -> int:
    """A table of version 2 whose rows came from partition 0 of a topic; returns their number."""
    folder = folder_of(pipeline) / pipeline.settings.pipeline
    old = DeltaTable(str(folder / "g1"))
    properties = {key: value for key, value in old.metadata().configuration.items() if value is not None}
    rows = pq.read_table([folder / "g1" / path for path in old.get_add_actions(flatten=True)["path"].to_pylist()])
    shutil.rmtree(folder / "g1")
    properties |= {"wetstream.topic": name, "wetstream.topic_id": topic_id, "wetstream.topic_partitions": "4"}
    properties["wetstream.schema_version"] = "2"
    del properties["wetstream.exclusions"]
    table = DeltaTable.create(
        str(folder / "g1"), schema=schema_of(2), configuration=properties, raise_if_key_not_exists=False
    )
    n = rows.num_rows
    columns = {field.name: rows[field.name] for field in schema_of(2) if field.name in rows.column_names}
    columns |= {"host": hosts_of(rows["url"].to_pylist()), "topic_partition": [0] * n, "topic_offset": list(range(n))}
    path = folder / "g1" / "documents-1.parquet"
    pq.write_table(rows.from_pydict(columns, schema=schema_of(2)), path, store_schema=False)
    stats = json.dumps({"numRecords": n})
    transactions = [
        Transaction(name, version)
        for name, version in {COMMITS: 1, TOPIC_COMMITS: 1, partition_key(topic_id, 0): n}.items()
    ]
    table.create_write_transaction(
        [AddAction(path.name, path.stat().st_size, {}, 0, True, stats)],
        "append",
        schema_of(2),
        commit_properties=CommitProperties(app_transactions=transactions),
    )
    return n


def test_the_sources_of_a_topic_of_the_older_contract_are_held_as_from_their_files(
    make_pipeline: Make, sample: Path
) -> None:
    pipeline = make_pipeline()
    verified = install(1, folder_of(pipeline), pipeline.settings.pipeline)
    topics = ensure_topics(pipeline.settings, pipeline.bootstrap_servers)
    records = from_topic(pipeline, topics.records.id, topics.records.name)
    producer = KafkaProducer(**pipeline.bootstrap_servers.client_options())
    for number in range(records + 9):
        producer.send(topics.records.name, key=f"{source_id(WHOLE)}@{number}".encode(), value=b"", partition=0)
    for path, state in ((WHOLE, "done"), (CUT, "truncated")):
        value = json.dumps({"v": 1, "source": source_id(path), "state": state, "fingerprint": {}})
        producer.send(topics.progress.name, key=source_id(path).encode(), value=value.encode())
    producer.close()
    with pytest.raises(ExplainedError, match=r"9 offsets of topic .* are not processed"):
        pipeline.public.upgrade(dry_run=True)

    table = DeltaTable(str(folder_of(pipeline) / pipeline.settings.pipeline / "g1"))
    caught_up = [Transaction(COMMITS, 2), Transaction(partition_key(topics.records.id, 0), records + 9)]
    properties = CommitProperties(app_transactions=caught_up)
    table.create_write_transaction([], "append", schema_of(2), commit_properties=properties)
    done = pipeline.public.upgrade()
    assert "has messages of an older form" in done.notes[0] and source_id(CUT) in done.notes[1]
    assert pipeline.verified().digest == verified["digest"]
    assert set(pipeline.documents.sources_from_files()) == {source_id(WHOLE), source_id(CUT)}
    assert all(row["topic_offset"] is None for row in rows_of(pipeline))

    delete_topics(pipeline.settings, pipeline.bootstrap_servers)
    pipeline.ingest(sample, WHOLE)
    pipeline.stream()
    assert pipeline.verified().records == verified["records"] + 301
    assert pipeline.remove(WHOLE, CUT) == verified["records"]


def test_a_table_of_a_newer_version_is_refused(make_pipeline: Make) -> None:
    pipeline = make_pipeline()
    install(3, folder_of(pipeline), pipeline.settings.pipeline)
    path = folder_of(pipeline) / pipeline.settings.pipeline / "g1"
    DeltaTable(str(path)).alter.set_table_properties({"wetstream.schema_version": "99"}, raise_if_not_exists=False)
    with pytest.raises(DocumentsError, match=r"schema version 99; .* use the version that made it"):
        pipeline.public.upgrade()


def test_a_pipeline_whose_rules_are_gone_can_be_read_and_says_so(make_pipeline: Make) -> None:
    pipeline = make_pipeline()
    install(3, folder_of(pipeline), pipeline.settings.pipeline)
    path = folder_of(pipeline) / pipeline.settings.pipeline / "g1"
    DeltaTable(str(path)).alter.set_table_properties({"wetstream.rules_hash": "0" * 64}, raise_if_not_exists=False)
    (note,) = pipeline.public.upgrade(dry_run=True).notes
    assert "profile p21 has other rules" in note and "wetstream replay" in note
    assert pipeline.public.upgrade().notes == [note]
    assert Documents.open(Folder(path.parent / "g2")).properties["rules_hash"] == "0" * 64
    assert pipeline.public.statistics.stats()["records"] > 0
