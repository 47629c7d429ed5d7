"""The README is true: its commands exist, its example runs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import click
import polars
import pytest
from pyspark.sql import SparkSession

from conf.settings import load_settings
from tests.documentation import run_snippets, snippets
from tests.harness import Command
from wetstream.commands.main import cli

README = Path(__file__).resolve().parents[2] / "README.md"


def test_every_command_of_the_readme_exists() -> None:
    text = README.read_text()
    table = text[text.index("| command |") : text.index("Every setting")]
    named = {
        name for cell in re.findall(r"^\| (.+?) \|", table, re.M) for name in re.findall(r"`([a-z][a-z0-9]*)", cell)
    }
    named |= set(re.findall(r"^wetstream ([a-z]+)", text, re.M))
    groups = [group.commands for group in cli.commands.values() if isinstance(group, click.Group)]
    known = set(cli.commands).union(*groups)
    assert named and named - known == set()


def test_the_settings_named_in_the_readme_exist() -> None:
    flags = dict(pair.split("=") for pair in re.findall(r"--set ([\w.]+=[\w.:/]+)", README.read_text()))
    assert len(flags) >= 3
    load_settings(flags=flags, environ={})


def test_the_snippets_are_one_session(
    empty_folder: Path, wetstream: Command, spark: SparkSession, capsys: pytest.CaptureFixture[str]
) -> None:
    """From an empty folder to the vocabulary, by a pipeline and by `format("wet")`; and the documents table."""
    names: dict[str, Any] = {}
    # Relative paths are those of the folder in which Spark was started, which is another one here.
    code = run_snippets("README.md", names, {'load("': f'load("{empty_folder}/'})
    assert len(snippets("README.md", "python")[0][1].strip().splitlines()) <= 10
    assert 'format("wet")' in code and "tokens" in capsys.readouterr().out
    words = names["pipeline"].vocabulary().to_polars().select("word", "tf", "df")
    counts = polars.from_pandas(names["counts"]).select("word", "sum(count)", "count(word)")
    assert set(words.rows()) == set(counts.rows())
    run_snippets("docs/documents.md", {})
    documents = polars.read_delta(names["pipeline"].documents.path)
    assert documents.filter(polars.col("reason").is_null()).height == names["pipeline"].statistics.stats()["documents"]


@pytest.mark.slow
def test_the_tutorial_runs_from_top_to_bottom(empty_folder: Path, wetstream: Command) -> None:
    # Its state directory is the folder's, as a user's is.
    command = Command({**wetstream.environment, "WETSTREAM_HOME": str(empty_folder / ".wetstream")})
    lines = [line for _, block in snippets("docs/tutorial.md", "sh") for line in block.splitlines() if line]
    assert len(lines) >= 12 and all(line.startswith("wetstream ") for line in lines)
    printed = {line: command(*shlex.split(line)[1:]).stdout for line in lines}
    assert printed["wetstream verify"].startswith("ok: 101 records")
    assert (empty_folder / "corpus" / "meta.json").is_file()
