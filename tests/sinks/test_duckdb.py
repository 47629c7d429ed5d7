"""DuckDB's memory is bounded wherever the documents table is queried."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from sinks.documents import parquet_files
from sinks.documents.parquet_files import ParquetFiles

ROOT = Path(__file__).resolve().parents[2]


def test_what_does_not_fit_is_spilled_to_a_folder_that_is_removed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr(parquet_files, "MEMORY_LIMIT", "50MB")
    query = (
        "select count(*) from (select md5(i::varchar) as a, i from range(1_500_000) t(i) order by a limit 1_499_999)"
    )
    with ParquetFiles(()).connect(threads=1) as connection:
        (folder,) = tmp_path.iterdir()
        assert connection.sql("select current_setting('temp_directory')").fetchall() == [(str(folder),)]
        assert connection.sql(query).fetchall() == [(1_499_999,)]
    nowhere = {"memory_limit": "50MB", "temp_directory": "", "threads": 1}
    with duckdb.connect(config=nowhere) as connection, pytest.raises(duckdb.OutOfMemoryException):
        connection.sql(query).fetchall()
    assert list(tmp_path.iterdir()) == []


def test_nothing_else_connects_to_duckdb() -> None:
    folders = ("conf", "producers", "serving", "sinks", "streaming", "topicmodels", "wetstream")
    using = [
        path for folder in folders for path in (ROOT / folder).rglob("*.py") if "duckdb.connect(" in path.read_text()
    ]
    assert using == [ROOT / "sinks/documents/parquet_files.py"]
