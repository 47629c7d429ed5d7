"""The command line as a whole: its help, and commands that need no pipeline."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest
from click.testing import CliRunner
from pyarrow import csv

from wetstream.commands.main import SECTIONS, cli
from wetstream.commands.options import note_event
from wetstream.commands.terminal.output import Terminal
from wetstream.commands.terminal.progress import ProgressDisplay
from wetstream.commands.terminal.sources import show_segments
from wetstream.commands.terminal.text import shorten
from wetstream.pipeline.events import MicroBatch, Status
from wetstream.tables.frame import FormatError, Frame

ROW = {"state": "done", "produced": 1, "records": 1, "documents": 1, "rejected": {}, "tokens": 1}


class Words(Frame):
    def to_arrow(self) -> pa.Table:
        return pa.table({"word": ["a", 'b"\t,c'], "tf": [2, 1]})


def test_the_help_shows_every_command_in_one_section() -> None:
    listed = [name for names in SECTIONS.values() for name in names]
    assert sorted(listed) == sorted(cli.commands)
    text = CliRunner().invoke(cli, ["--help"], terminal_width=80).output
    assert all(f"\n{title}:\n" in text for title in SECTIONS)
    assert all(f"\n  {name} " in text for name in listed) and max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_completion_is_one_of_the_shell(shell: str, tmp_path: Path) -> None:
    script = CliRunner().invoke(cli, ["completion", shell]).output
    assert "_WETSTREAM_COMPLETE" in script and "\x1b" not in script
    if shell == "bash":
        (tmp_path / "script").write_text(script)
        assert subprocess.run(["bash", "-n", tmp_path / "script"], check=False).returncode == 0


def test_a_frame_is_written_in_the_format_of_the_suffix(tmp_path: Path) -> None:
    words = Words().to_arrow()
    assert csv.read_csv(Words().write(tmp_path / "w.csv")) == words
    assert csv.read_csv(Words().write(tmp_path / "w.tsv"), parse_options=csv.ParseOptions(delimiter="\t")) == words
    assert pyarrow.parquet.read_table(Words().write(tmp_path / "w.parquet")) == words
    assert pa.ipc.open_file(Words().write(str(tmp_path / "w.arrow"))).read_all() == words
    with pytest.raises(FormatError, match=r"\.parquet"):
        Words().write(tmp_path / "w.xlsx")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["w.arrow", "w.csv", "w.parquet", "w.tsv"]


def test_shortened_names_differ() -> None:
    names = [f"file/CC-MAIN-20240223-0{n}.warc.wet.gz" for n in range(4)]
    shown = shorten(names, 12)
    assert shown[names[2]] == "…0240223-02…" and len(set(shown.values())) == 4
    same = [f"{folder}/a-long-name-of-a-file.warc.wet.gz" for folder in "abc"]
    assert set(shorten(same, 16).values()) == {f"{folder}/a-lon…c.wet.gz" for folder in "abc"}
    assert shorten(["short.wet.gz"], 12) == {"short.wet.gz": "short.wet.gz"}
    assert all(len(text) <= 9 for text in shorten([*names, *same], 9).values())
    console = Terminal(width=60, file=io.StringIO())
    show_segments(console, [ROW | {"source": name} for name in names])
    lines = console.file.getvalue().splitlines()[1:5]
    assert len({line.split()[0] for line in lines}) == 4 and max(map(len, lines)) <= 60


def test_quiet_leaves_out_progress(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    console = Terminal(stderr=True)
    console.shows_progress = False
    with ProgressDisplay(console, ingest=True, stream=True) as display:
        display.show(Status("starting Spark"))
        display.show(MicroBatch(3, 1.0, 0))
    monkeypatch.setattr("wetstream.commands.options.err.shows_progress", False)
    note_event(Status("starting Kafka"))
    assert capsys.readouterr() == ("", "")


def test_no_color_turns_colours_off(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def printed() -> str:
        Terminal(force_terminal=True, stderr=True).line("it is bad", "red")
        return capsys.readouterr().err

    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    assert "\x1b[31m" in printed()
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[31m" not in printed()
