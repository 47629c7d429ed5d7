"""The examples of the Python documentation run, and name every public name."""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import nbclient
import nbformat
import pytest
from pyspark.sql import SparkSession

import wetstream
import wetstream.profile
import wetstream.wet.read
from tests.documentation import ROOT, run_snippets
from wetstream.wet.read import read_wet


def test_the_session_of_the_python_page(
    empty_folder: Path, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = run_snippets("docs/python.md", {"__name__": "__main__", "spark": spark})
    examples = {name: len(re.findall(rf"\bwetstream\.{name}\b", code)) for name in wetstream.__all__}
    assert len(examples) >= 20 and [name for name, number in examples.items() if number == 0] == []


def test_the_session_of_the_spark_page(empty_folder: Path, spark: SparkSession) -> None:
    # Relative paths are those of the folder in which Spark was started, which is another one here.
    names = ('"crawl/', '"crawl"', '"checkpoint"', '"pages"')
    run_snippets("docs/spark.md", {}, {name: f'"{empty_folder}/{name[1:]}' for name in names})


@pytest.mark.parametrize("module", [wetstream.profile, wetstream.wet.read])
def test_docstrings(module: object, tmp_path: Path) -> None:
    sample = wetstream.write_sample(tmp_path / "sample.warc.wet.gz", records=20).path
    finder = doctest.DocTestFinder(exclude_empty=True)
    runner = doctest.DocTestRunner()
    found = [test for test in finder.find(module, extraglobs={"sample": sample}) if test.examples]
    assert found
    for test in found:
        assert runner.run(test).failed == 0


def test_reading_loads_no_server_clients(tmp_path: Path) -> None:
    sample = wetstream.write_sample(tmp_path / "sample.warc.wet.gz", records=20).path
    program = (
        "import sys, wetstream\n"
        f"assert len(list(wetstream.read_wet({str(sample)!r}))) == 21\n"
        "wetstream.Profile.load('english').bag('to be')\n"
        "print({'pyspark', 'kafka', 'redis', 'polars', 'duckdb', 'deltalake'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_records_come_one_by_one(tmp_path: Path) -> None:
    sample = wetstream.write_sample(tmp_path / "sample.warc.wet.gz", records=300).path
    records = read_wet(sample, max_record_bytes=1024)
    first = next(records)
    assert first.reason == "not_conversion" and next(records).record_offset == first.next_offset
    assert {record.reason for record in records} == {None, "oversize"}


@pytest.mark.parametrize(
    "script", sorted((Path(__file__).parents[2] / "examples").glob("*.py")), ids=lambda path: path.stem
)
def test_scripts(script: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(script.parents[1])}
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert "http://" in done.stdout


def test_the_notebook(empty_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.read(ROOT / "examples" / "vocabulary.ipynb", as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in cells), "outputs are not committed"
    nbclient.NotebookClient(notebook, timeout=200, resources={"metadata": {"path": str(empty_folder)}}).execute()
    shown = ["".join(output.get("data", {}).get("text/html", "")) for cell in cells for output in cell.outputs]
    assert sum("vegaEmbed" in html for html in shown) == 2
    assert sum('class="dataframe"' in html for html in shown) == 3
