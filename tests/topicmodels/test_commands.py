"""The `topics` commands, in processes of their own: what they print, and what they refuse."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.harness import Command
from tests.topicmodels.corpora import StoredPipeline, generate

CORPUS = generate(300, 4, 120, seed=3)


@pytest.fixture
def run(tmp_path: Path) -> Command:
    """The command in the home of a pipeline of 300 documents; no server is needed."""
    stored = StoredPipeline(tmp_path / "home")
    stored.add(CORPUS.dicts(), source="s0", language="eng")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WETSTREAM_")}
    kept |= {name: os.environ[name] for name in ("WETSTREAM_NUMBA_CACHE",) if name in os.environ}
    return Command(kept | {"WETSTREAM_HOME": str(stored.settings.home), "WETSTREAM_PIPELINE": "main"})


def answer(run: Command, *arguments: str) -> Any:
    return json.loads(run("topics", *arguments, "--json").stdout)


def test_train_then_look(run: Command) -> None:
    assert "wetstream topics train" in run("topics", "show", code=1).stderr
    assert "no topic models yet" in run("topics", "list").stdout
    trained = answer(run, "train", "--topics", "4", "--passes", "2", "--min-df", "2", "--max-df", "1")
    assert len(trained["topics"]) == 4
    assert sum(topic["share"] for topic in trained["topics"]) == pytest.approx(1, abs=0.01)
    (row,) = answer(run, "list")
    assert (row["name"], row["state"], row["topics"], row["documents"]) == ("main", "ready", 4, 300)
    assert answer(run, "show", "-n", "10") == trained
    one = answer(run, "show", "2", "-n", "3")
    assert len(one["words"]) == 3 and one["documents"]
    word = one["words"][0]["word"]
    assert word in run("topics", "show").stdout and word in run("topics", "show", "2").stdout
    assert "--overwrite" in run("topics", "train", code=1).stderr
    assert "main has no topic 4" in run("topics", "show", "4", code=1).stderr
    days = answer(run, "shares", "day", "--topic", "2")
    assert {row["topic"] for row in days} == {2}
    assert "eng" in run("topics", "shares", "language").stdout
    (page,) = answer(run, "assign", " ".join([word] * 30))
    assert page["topics"]
    updated = answer(run, "update")
    assert updated["documents"] == 300
    assert "main is deleted" in run("topics", "drop", "main").stdout
    assert "there is no topic model main" in run("topics", "drop", "main", code=1).stderr
