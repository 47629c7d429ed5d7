"""Exclusions of a documents table, and the transactions of its log, at any number of sources."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from sinks.documents.errors import DamagedFileError, DocumentsError
from sinks.documents.exclusions import FOLDER, INHERITED, Exclusion
from sinks.documents.files import DocumentFile, write_document_file
from sinks.documents.log import FROM_FILE, MAX_SOURCES
from sinks.documents.removals import EXCLUSIONS
from sinks.documents.schema import DOCUMENTS
from sinks.documents.table import Documents
from sinks.documents.transactions import read_transactions
from sinks.storage.folder import Folder
from tests.sinks.batches import row

REMOVED = [Exclusion("a", 0, 10, INHERITED), Exclusion("b", 1, 20, INHERITED, 5)]


class Killed(BaseException):
    """The process is killed."""


@pytest.fixture
def documents(tmp_path: Path) -> Documents:
    table = Documents.create(Folder(tmp_path / "g1"), {"profile": "p21"})
    table.bind_topic("records", "id", 2)
    return table


def reopened(documents: Documents) -> Documents:
    return Documents.open(documents.location)


def file_of(documents: Documents, source: str = "a") -> DocumentFile:
    rows = pa.Table.from_pylist([row(0, {"alpha": 1}, source=source)], schema=DOCUMENTS)
    return write_document_file(documents.location, rows, compression_level=1)


def test_exclusions_are_a_file_that_the_log_names(documents: Documents, tmp_path: Path) -> None:
    documents.inherit(REMOVED)
    assert reopened(documents).exclusions() == REMOVED
    documents.plan_removal({"c": (0, 30)})
    expected = [*REMOVED, Exclusion("c", 0, 30, 1)]
    assert reopened(documents).exclusions() == documents.exclusions() == expected
    assert all(path.stat().st_size < 5_000 for path in (tmp_path / "g1" / "_delta_log").iterdir())
    # A reader that opened the table before the last change still finds its own.
    before = DeltaTable(tmp_path / "g1", version=documents.version - 1)
    assert (tmp_path / "g1" / str(before.metadata().configuration[f"wetstream.{EXCLUSIONS}"])).exists()
    documents.plan_removal({"d": (0, 40)})
    assert len(list((tmp_path / "g1" / FOLDER).iterdir())) == 2, "older files are deleted"
    assert reopened(documents).vacuum(0, dry_run=False) == []
    assert len(reopened(documents).exclusions()) == 4


def test_exclusions_of_an_earlier_version_go_on(documents: Documents) -> None:
    documents.set_property(EXCLUSIONS, json.dumps([["a", 0, 10, -1], ["b", 1, 20, -1, 5]]))
    assert reopened(documents).exclusions() == REMOVED
    earlier = reopened(documents)
    earlier.plan_removal({"c": (0, 30)})
    assert reopened(documents).exclusions() == [*REMOVED, Exclusion("c", 0, 30, 1)]
    earlier.plan_removal({"d": (0, 40)})
    assert len(reopened(documents).exclusions()) == 4


def test_a_crash_before_the_commit_changes_nothing(documents: Documents, monkeypatch: pytest.MonkeyPatch) -> None:
    documents.inherit(REMOVED)

    def crash(name: str) -> None:
        if name == "before-exclusions":
            raise Killed

    monkeypatch.setattr("sinks.documents.removals.crash_point", crash)
    with pytest.raises(Killed):
        reopened(documents).plan_removal({"c": (0, 30)})
    monkeypatch.undo()
    assert reopened(documents).exclusions() == REMOVED
    reopened(documents).plan_removal({"c": (0, 30)})
    assert len(reopened(documents).exclusions()) == 3


@pytest.mark.parametrize("damage", ["missing", "flipped"])
def test_damaged_exclusions_are_named(documents: Documents, tmp_path: Path, damage: str) -> None:
    documents.inherit([Exclusion(f"source {n}", 0, n, INHERITED) for n in range(2_000)])
    (file,) = (tmp_path / "g1" / FOLDER).iterdir()
    if damage == "missing":
        file.unlink()
    else:
        data = bytearray(file.read_bytes())
        data[200] ^= 0x10
        file.write_bytes(data)
    with pytest.raises(DamagedFileError, match=file.name):
        reopened(documents).exclusions()


def test_transactions_are_those_that_delta_rs_sees(documents: Documents, tmp_path: Path) -> None:
    for number in range(4):
        documents.commit_files([file_of(documents)], [f"s{number}", f"t{number}"])
        documents.commit([file_of(documents)], {f"id/{number % 2}": number + 1})
    middle = documents.version
    DeltaTable(tmp_path / "g1").create_checkpoint()
    for number in range(2, 6):
        documents.commit_files([file_of(documents)], [f"s{number}"])
    for version in (middle - 3, middle, middle + 2, documents.version):
        table = DeltaTable(tmp_path / "g1", version=version)
        found = read_transactions(documents.location, version)
        assert found == {name: table.transaction_version(name) for name in found}
        for name in (f"{FROM_FILE}s5", f"{FROM_FILE}t3", "id/0", "files", "nothing"):
            assert found.get(name) == table.transaction_version(name)
    assert documents.position() == reopened(documents).position()
    assert documents.is_from_file("s0") and not documents.is_from_file("s2")


def test_a_damaged_log_is_named(documents: Documents, tmp_path: Path) -> None:
    documents.commit([file_of(documents)], {"id/0": 1})
    fresh = reopened(documents)
    (tmp_path / "g1" / "_delta_log" / f"{1:020d}.json").unlink()
    with pytest.raises(DocumentsError, match="_delta_log"):
        fresh.position()


def test_history_names_the_sources_of_a_commit(documents: Documents) -> None:
    documents.commit([file_of(documents)], {"id/0": 1}, {"b", "a"})
    documents.commit_files([file_of(documents)], [f"c{number:04}" for number in range(MAX_SOURCES + 5)])
    documents.plan_removal({"d": (0, 30)})
    documents.complete_removal([], [])
    removed, _, from_files, streamed, *older = reopened(documents).history(10)
    assert (removed["sources"], streamed["sources"]) == (["d"], ["a", "b"])
    assert (len(from_files["sources"]), from_files["sources_omitted"]) == (MAX_SOURCES, 5)
    assert all(commit["sources"] == [] for commit in older)
