"""Damaged files: each is found by whoever reads the documents, and named; wrong rows never come out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from conf.profiles import Rules
from serving.document_queries import DocumentQueries
from serving.verify.verify import verify
from sinks.documents.compaction import compact
from sinks.documents.errors import DamagedFileError, DocumentsError
from sinks.documents.files import write_document_file
from sinks.documents.generations import Generation, Generations
from sinks.documents.schema import DOCUMENTS
from sinks.documents.table import Documents
from sinks.keys import pipeline_pattern
from sinks.removal import finish_removal
from sinks.statistics.builds import StatisticsBuilds
from tests.sinks.batches import row

RULES = Rules("p21", "hash")


@pytest.fixture
def documents(tmp_path: Path) -> Documents:
    """Two files of rows."""
    table = Generations(tmp_path, "main").open_or_create(RULES).documents
    table.bind_topic("records", "id", 1)
    for begin in (0, 40):
        rows = [row(number, {"alpha": 1, f"word{number}": number}) for number in range(begin, begin + 40)]
        file = write_document_file(table.location, pa.Table.from_pylist(rows, schema=DOCUMENTS), compression_level=1)
        table.commit([file], {"id/0": begin + 40})
    return table


def contents(documents: Documents) -> list[dict[str, Any]]:
    return [found for batch in documents.scan() for found in batch.to_pylist()]


def flip(path: Path) -> None:
    """Flip a bit in the values of a column."""
    column = pq.read_metadata(path).row_group(0).column(DOCUMENTS.names.index("payload_bytes"))
    data = bytearray(path.read_bytes())
    data[column.data_page_offset + column.total_compressed_size - 2] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


DAMAGES: dict[str, Callable[[Path], None]] = {"a bit": flip, "cut": cut, "missing": Path.unlink}
READERS: dict[str, Callable[[Documents, Redis], object]] = {
    "scan": lambda documents, client: contents(documents),
    "check": lambda documents, client: documents.check_files(),
    "rebuild": lambda documents, client: rebuild(documents, client),
    "verify": lambda documents, client: verify(client, "damage", documents),
    "compaction": lambda documents, client: compact(documents, target_bytes=1 << 20, compression_level=1),
    "removal": lambda documents, client: remove(documents),
}


def rebuild(documents: Documents, client: Redis) -> None:
    for key in client.scan_iter(pipeline_pattern("damage")):
        client.delete(key)
    builds = StatisticsBuilds(client, "damage", chunk_words=100, top_words=10)
    builds.rebuild(Generation("g1", documents), documents.position())


def remove(documents: Documents) -> None:
    documents.plan_removal({"a": (0, 100)})
    finish_removal(documents, compression_level=1)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("damage", DAMAGES)
def test_every_reader_names_a_damaged_file(damage: str, reader: str, documents: Documents, redis_client: Redis) -> None:
    path = Path(documents.file_paths()[0])
    DAMAGES[damage](path)
    with pytest.raises(DamagedFileError, match=rf"{path.name} .*backup.*wetstream replay"):
        READERS[reader](documents, redis_client)


@pytest.mark.parametrize("damage", ["cut", "missing"])
def test_document_queries_name_a_damaged_file(damage: str, documents: Documents) -> None:
    path = Path(documents.file_paths()[0])
    DAMAGES[damage](path)
    as_of: Any = {}
    with pytest.raises(DamagedFileError, match=path.name):
        DocumentQueries(lambda: documents).hosts(as_of)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_is_found_or_changes_no_row(place: float, bit: int, documents: Documents) -> None:
    path = Path(documents.file_paths()[0])
    whole = path.read_bytes()
    right = contents(documents)
    data = bytearray(whole)
    data[int(place * len(data))] ^= 1 << bit
    path.write_bytes(data)
    try:
        assert contents(documents) == right
    except DamagedFileError as error:
        assert path.name in str(error)
    finally:
        path.write_bytes(whole)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\x00",
        b"{",
        b"[1]",
        b'{"generation": 7}',
        b'{"generation": "../other"}',
        b'{"version": 9, "live": "g1"}',
    ],
)
def test_a_damaged_pointer_is_explained(content: bytes, documents: Documents) -> None:
    generations = Generations(Path(documents.location).parents[1], "main")
    pointer = Path(generations.location) / "live.json"
    pointer.write_bytes(content)
    for action in (generations.open_live, lambda: generations.open_or_create(RULES)):
        with pytest.raises(DocumentsError, match=r'live\.json is damaged: write \{"generation": "NAME"\}.*\(g1\)'):
            action()
    assert pointer.read_bytes() == content


def test_folder_in_place_of_the_pointer_file_is_explained(documents: Documents) -> None:
    generations = Generations(Path(documents.location).parents[1], "main")
    (Path(generations.location) / "live.json").unlink()
    (Path(generations.location) / "live.json").mkdir()
    with pytest.raises(DocumentsError, match=r"live\.json is a folder: move it away"):
        generations.open_or_create(RULES)


@pytest.mark.parametrize("path", ["/dev/null", "/proc/nowhere"])
def test_a_documents_path_that_cannot_be_used_is_explained(path: str) -> None:
    with pytest.raises(DocumentsError, match=rf"documents folder {path}.*correct documents\.path"):
        Generations(Path(path), "main").open_or_create(RULES)


def test_a_table_that_cannot_be_written_is_explained(documents: Documents) -> None:
    documents.check_writable()
    shutil.rmtree(documents.location)
    with pytest.raises(DocumentsError, match=r"g1 cannot be written.*documents\.path"):
        documents.check_writable()


@pytest.mark.parametrize("content", ["garbage", "", json.dumps({"add": 1})])
def test_a_damaged_log_is_explained_in_one_line(content: str, documents: Documents) -> None:
    first = min(Path(documents.location, "_delta_log").glob("*.json"))
    first.write_text(content)
    with pytest.raises(DocumentsError, match=r"g1 cannot be read .*backup") as found:
        Documents.open(documents.location)
    assert len(str(found.value).splitlines()) == 1


def test_start_killed_before_the_table_existed_is_recovered(tmp_path: Path) -> None:
    generations = Generations(tmp_path, "main")
    (Path(generations.location) / "g1" / "_delta_log").mkdir(parents=True)
    assert generations.open_or_create(RULES).documents.is_empty
