"""The README is true: its commands exist, its example runs."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import click
import polars
import pytest

from conf.settings import load_settings
from tests.harness import Pipeline
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


def test_the_example_reads_the_table(
    make_pipeline: Callable[..., Pipeline], sample: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pipeline = make_pipeline()
    pipeline.ingest(sample)
    pipeline.stream()
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.S)
    stored = str(pipeline.documents.location)
    exec(example.replace(".wetstream/documents/main/g1", stored), {})
    assert "tokens" in capsys.readouterr().out
    kept = polars.read_delta(stored).filter(polars.col("reason").is_null())
    assert kept.height == pipeline.live.stats()["documents"]
