"""Commands that write a file: a device is never replaced, and what cannot be written is one sentence."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from producers.sample.writer import write_sample
from streaming.text.jit import bake
from wetstream.cluster.archive import write_archive
from wetstream.commands.main import cli
from wetstream.commands.terminal import failures
from wetstream.commands.terminal.failures import FAILED, USAGE


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    """No regular file, as a device is none."""
    made = tmp_path / "pipe"
    os.mkfifo(made)
    return made


def test_a_device_is_not_replaced_by_a_file(pipe: Path) -> None:
    with pytest.raises(OSError, match="is no regular file"):
        write_sample(pipe, records=1)
    with pytest.raises(OSError, match="is no regular file"):
        write_archive(pipe)
    assert pipe.is_fifo() and list(pipe.parent.iterdir()) == [pipe]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["package", "-o", "no/folder/x.tar.gz"], "no/folder is no folder: make it"),
        (["package", "-o", "file/x.tar.gz"], "file is no folder: make it"),
        (["package", "-o", "pipe"], "pipe is no regular file"),
        (["sample", "pipe", "--records", "1"], "pipe is no regular file"),
    ],
)
def test_what_cannot_be_written_is_one_sentence(
    arguments: list[str], told: str, pipe: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(pipe.parent)
    monkeypatch.setenv("WETSTREAM_HOME", str(pipe.parent / "home"))
    monkeypatch.setenv("WETSTREAM_NUMBA_CACHE", "")
    Path("file").touch()
    assert failures.run(cli, arguments) == FAILED
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and line.count(told) == 1


@pytest.mark.parametrize("arguments", [["package", "-o"], ["compile"], ["sample"], ["stats", "--config"]])
@pytest.mark.parametrize("path", ["", " ", "a\0b"])
def test_what_is_no_path_is_wrong_usage(arguments: list[str], path: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert failures.run(cli, [*arguments, path]) == USAGE
    assert "Traceback" not in capsys.readouterr().err


def test_only_the_folder_of_the_machine_code_is_opened_to_all(tmp_path: Path) -> None:
    mode = tmp_path.stat().st_mode
    with pytest.raises(OSError, match="cannot be written to"):
        bake(tmp_path)
    assert tmp_path.stat().st_mode == mode
