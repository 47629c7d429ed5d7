"""`wetstream export` as a person uses it: what is at its place is whole, and what is not ours stays."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from serving.export.folder import FolderError, new_folder
from tests.export import corpora
from tests.export.corpora import SOURCES
from tests.harness import Command


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """The command on a table of three documents, without any server."""
    bags = [{"alpha": 1, "beta": 2}, {"alpha": 3}, {"gamma": 1, "beta": 1}]
    rows = [
        corpora.row((SOURCES[number], 0, 0), bag, language, None)
        for number, (bag, language) in enumerate(zip(bags, ["eng", None, "deu"], strict=True))
    ]
    corpora.make_table(tmp_path / "home" / "documents", rows)
    kept = {key: value for key, value in os.environ.items() if not key.startswith("WETSTREAM_")}
    return Command(kept | {"WETSTREAM_HOME": str(tmp_path / "home")})


def test_the_command(command: Command, tmp_path: Path) -> None:
    (tmp_path / "stop").write_text("beta\n")
    out = tmp_path / "out"
    assert "3 documents, 3 words, 8 tokens" in command("export", "p21", out).stdout
    assert (out / "corpus").read_text() == "0:1,1:2\n0:3\n1:1,2:1\n"
    assert (out / "dictionary").read_text() == "alpha\t0\nbeta\t1\ngamma\t2\n"
    assert (out / "statistics").read_text().startswith("Number of Words: 3\nNumber of Documents: 3\n")

    assert "--overwrite" in command("export", "svmlight", out, code=1).stderr
    chosen = ["--stop-words", tmp_path / "stop", "--language", "en", "--language", "deu", "--source", "CC-MAIN-2016-50"]
    meta = command.json("export", "svmlight", out, "--overwrite", *chosen)
    assert meta["counts"]["words"] == 2 and meta["options"]["languages"] == ["eng", "deu"]
    assert (out / "corpus.svmlight").read_text() == "0 1:1\n0 2:1\n"
    assert not (out / "corpus").exists()

    assert "the corpus is empty" in command("export", "ldac", tmp_path / "old", "--as-of", "0").stderr
    assert "has no version 99" in command("export", "ldac", tmp_path / "x", "--as-of", "99", code=1).stderr
    left = command("export", "ldac", tmp_path / "few", "--min-df", "2", "--max-df", "0.5")
    assert "the corpus is empty" in left.stderr
    assert "no source" in command("export", "ldac", tmp_path / "x", "--source", "1.7", code=1).stderr
    assert (
        "cannot read the stop word file"
        in command("export", "ldac", tmp_path / "x", "--stop-words", "absent", code=1).stderr
    )
    assert "no documents yet" in command("export", "ldac", tmp_path / "x", "--pipeline", "other", code=1).stderr
    assert not (tmp_path / "x").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"home", "stop", "out", "old", "few"}


@pytest.mark.parametrize(
    "point", ["between-export-renames", pytest.param("before-export-rename", marks=pytest.mark.slow)]
)
def test_killed_export_leaves_nothing_partial(command: Command, tmp_path: Path, point: str) -> None:
    work = tmp_path / "work"
    out = work / "out"
    assert command("export", "p21", out, code=None, WETSTREAM_CRASH_AT=point).returncode == -9
    assert not out.exists() and list(work.iterdir())
    command("export", "p21", out)
    assert [path.name for path in work.iterdir()] == ["out"]
    whole = corpora.data_files(out)

    killed = command("export", "ldac", out, "--overwrite", code=None, WETSTREAM_CRASH_AT=point)
    assert killed.returncode == -9
    # The next one, to be refused, first brings back what was there.
    assert "holds" in command("export", "ldac", out, code=1).stderr
    assert corpora.data_files(out) == whole
    command("export", "ldac", out, "--overwrite")
    assert json.loads((out / "meta.json").read_text())["format"] == "ldac"
    assert [path.name for path in work.iterdir()] == ["out"]


def test_foreign_files_are_kept(tmp_path: Path) -> None:
    target = tmp_path / "thesis"
    target.mkdir()
    (target / "corpus").touch()
    (target / "chapter.tex").touch()
    with pytest.raises(FolderError, match=r"chapter\.tex"), new_folder(target, {"corpus"}, overwrite=True):
        pytest.fail("not reached")
    with pytest.raises(FolderError, match="is a file"), new_folder(target / "corpus", {"corpus"}, overwrite=True):
        pytest.fail("not reached")
    assert sorted(path.name for path in target.iterdir()) == ["chapter.tex", "corpus"]


@pytest.mark.parametrize("there", [True, False], ids=["a folder", "not there yet"])
def test_symlinked_folder_is_written_at_its_target(tmp_path: Path, there: bool) -> None:
    real, link = tmp_path / "disk" / "real", tmp_path / "link"
    link.symlink_to(real)
    if there:
        real.mkdir(parents=True)
        (real / "corpus").write_text("old")
    for text in ("new", "newer"):
        with new_folder(link, {"corpus"}, overwrite=True) as folder:
            assert folder.parent == real.parent
            (folder / "corpus").write_text(text)
        assert link.is_symlink() and link.resolve() == real
        assert (real / "corpus").read_text() == text
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    assert [path.name for path in real.parent.iterdir()] == ["real"]


def test_links_to_nothing_or_to_other_things_are_refused(tmp_path: Path) -> None:
    loop, elsewhere, target = tmp_path / "loop", tmp_path / "elsewhere", tmp_path / "target"
    loop.symlink_to(loop)
    elsewhere.mkdir()
    (elsewhere / "thesis").write_text("mine")
    target.mkdir()
    for refused, named in ((loop, "loop"), (Path("~nobody-of-this-name/x"), "nobody-of-this-name")):
        with pytest.raises(FolderError, match=named), new_folder(refused, {"corpus"}, overwrite=True):
            pytest.fail("not reached")
    # A file's name with something else under it: replacing the folder would delete what is in there.
    (target / "corpus").symlink_to(elsewhere)
    with pytest.raises(FolderError, match="corpus"), new_folder(target, {"corpus"}, overwrite=True):
        pytest.fail("not reached")
    (target / "corpus").unlink()
    (target / "corpus").mkdir()
    (target / "corpus" / "thesis").write_text("mine")
    with pytest.raises(FolderError, match="corpus"), new_folder(target, {"corpus"}, overwrite=True):
        pytest.fail("not reached")
    assert (target / "corpus" / "thesis").read_text() == (elsewhere / "thesis").read_text() == "mine"


def test_the_folder_that_one_is_in_is_never_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = tmp_path / "out" / "inside"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    for target in (Path(), inside, Path("..")):
        with pytest.raises(FolderError, match="the folder that this command runs in"), new_folder(target, set()):
            pytest.fail("not reached")
    with pytest.raises(FolderError, match="mounted on"), new_folder(Path("/proc"), set()):
        pytest.fail("not reached")
    with new_folder(Path("new"), set()):
        pass
    assert Path.cwd() == inside and [path.name for path in inside.iterdir()] == ["new"]


def test_running_export_is_left_alone(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with new_folder(target, {"corpus"}) as first:
        (first / "corpus").write_text("first")
        with new_folder(target, {"corpus"}) as second:
            (second / "corpus").write_text("second")
        assert (first / "corpus").read_text() == "first"
        (target / "corpus").unlink()
    assert (target / "corpus").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_error_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="cannot be written"), new_folder(tmp_path / "out", set()) as folder:
        (folder / "corpus").touch()
        (folder / "absent" / "corpus").touch()
    assert not list(tmp_path.iterdir())
