"""The documents table: positions and rows are one commit, and a second writer is fenced."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import polars
import pyarrow as pa
import pytest

from conf.profiles import Rules
from sinks.documents.errors import DocumentsError, FencedError
from sinks.documents.files import DocumentFile, write_document_file
from sinks.documents.generations import Generations
from sinks.documents.schema import DOCUMENTS
from sinks.documents.table import Documents, Range
from sinks.storage.folder import Folder
from tests.sinks.batches import row


def write(documents: Documents, rows: list[dict[str, Any]]) -> DocumentFile:
    return write_document_file(documents.location, pa.Table.from_pylist(rows, schema=DOCUMENTS), compression_level=1)


@pytest.fixture
def table(tmp_path: Path) -> Documents:
    documents = Documents.create(Folder(tmp_path / "g1"), {"profile": "p21"})
    documents.bind_topic("records", "id", 2)
    return documents


def test_a_commit_moves_rows_and_positions_together(table: Documents) -> None:
    table.commit([write(table, [row(0, {"alpha": 2}), row(1, None, "too_few_words")])], {"id/0": 2})
    again = Documents.open(table.location)
    assert again.position() == {"id/0": 2}
    assert [r["topic_offset"] for batch in again.scan() for r in batch.to_pylist()] == [0, 1]


def test_a_second_writer_from_the_same_snapshot_is_fenced(table: Documents) -> None:
    other = Documents.open(table.location)
    table.commit([write(table, [row(0, {"alpha": 2})])], {"id/0": 1})
    with pytest.raises(FencedError, match="another writer"):
        other.commit([write(other, [row(0, {"alpha": 2})])], {"id/1": 1})
    assert Documents.open(table.location).position() == {"id/0": 1}


def test_a_commit_whose_answer_was_lost_is_recognised(table: Documents, monkeypatch: pytest.MonkeyPatch) -> None:
    stale = Documents.open(table.location)
    file = write(table, [row(0, {"alpha": 2})])
    table.commit([file], {"id/0": 1})
    # The same commit again from the snapshot before it: what a retry after a lost answer looks like.
    stale.commit([file], {"id/0": 1})
    assert Documents.open(table.location).topic_commits == 1


def test_a_missing_file_is_never_committed(table: Documents) -> None:
    with pytest.raises(DocumentsError, match="must see the same documents"):
        table.commit([DocumentFile("gone.parquet", 1, 1, "{}")], {"id/0": 1})
    assert Documents.open(table.location).position() == {}


def test_a_scan_of_a_range_opens_only_the_files_that_hold_it(table: Documents) -> None:
    for number in range(0, 6, 2):
        table.commit([write(table, [row(number, {"a": 1}), row(number + 1, {"b": 1})])], {"id/0": number + 2})
    wanted = [Range(0, 3, 5)]
    assert sorted(r["topic_offset"] for batch in table.scan(wanted) for r in batch.to_pylist()) == [3, 4]
    assert len(table._files(wanted)) == 2
    assert list(table.scan([Range(1, 0, 99)])) == []


def test_another_topic_of_the_same_name_is_refused(table: Documents) -> None:
    with pytest.raises(DocumentsError, match=r"deleted and created again.*--pipeline"):
        table.bind_topic("records", "another id", 2)


def test_folder_without_a_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DocumentsError, match="no documents table"):
        Documents.open(Folder(tmp_path))


def test_other_rules_are_refused_with_the_remedy(tmp_path: Path) -> None:
    generations = Generations(tmp_path, "main")
    generations.open_or_create(Rules("p21", "hash"))
    with pytest.raises(DocumentsError, match=r"made with profile p21, not english.*without --profile.*--pipeline"):
        generations.open_or_create(Rules("english", "other"))
    with pytest.raises(DocumentsError, match="other rules of p21"):
        generations.open_or_create(Rules("p21", "changed"))


def test_a_lost_pointer_never_costs_documents(tmp_path: Path) -> None:
    generations = Generations(tmp_path, "main")
    documents = generations.open_or_create(Rules("p21", "hash")).documents
    documents.commit([write(documents, [row(0, {"a": 1})])], {"id/0": 1})
    (Path(generations.location) / "live.json").unlink()
    with pytest.raises(DocumentsError, match=r"live\.json is missing"):
        generations.open_or_create(Rules("p21", "hash"))


def test_files_whose_log_is_lost_are_never_deleted(tmp_path: Path) -> None:
    generations = Generations(tmp_path, "main")
    documents = generations.open_or_create(Rules("p21", "hash")).documents
    documents.commit([write(documents, [row(0, {"a": 1})])], {"id/0": 1})
    (Path(generations.location) / "live.json").unlink()
    shutil.rmtree(Path(documents.location, "_delta_log"))
    with pytest.raises(DocumentsError, match=r"g1 holds Parquet files but no Delta log.*backup"):
        generations.open_or_create(Rules("p21", "hash"))
    assert list(Path(documents.location).glob("*.parquet"))


def test_an_interrupted_drop_leaves_no_generation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generations = Generations(tmp_path, "main")
    generations.open_or_create(Rules("p21", "hash"))
    dropped = generations.create_next(Rules("p21", "hash"))
    dropped.documents.commit([write(dropped.documents, [row(0, {"a": 1})])], {"id/0": 1})

    def interrupt(path: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sinks.storage.folder.shutil.rmtree", interrupt)
    with pytest.raises(KeyboardInterrupt):
        generations.drop("g2")
    monkeypatch.undo()
    assert generations.names() == ["g1"]
    generations.create_next(Rules("p21", "hash"))
    generations.drop("g2")
    assert [path.name for path in Path(generations.location).iterdir() if path.is_dir()] == ["g1"]


def test_other_engines_read_the_table(table: Documents) -> None:
    table.commit([write(table, [row(0, {"alpha": 2, "été": 1}), row(1, None, "too_few_words")])], {"id/0": 2})
    frame = polars.read_parquet(table.file_paths())
    assert frame.select("words", "counts", "reason").rows() == [
        (["alpha", "été"], [2, 1], None),
        (None, None, "too_few_words"),
    ]
