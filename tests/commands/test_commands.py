"""The command line as a whole: its help, and commands that need no pipeline."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path

import click
import pyarrow as pa
import pyarrow.parquet
import pytest
from click.testing import CliRunner
from pyarrow import csv

from wetstream.commands.main import SECTIONS, cli
from wetstream.commands.options import note_event
from wetstream.commands.terminal.output import Terminal
from wetstream.commands.terminal.progress import ProgressDisplay
from wetstream.commands.terminal.rows import RowsDisplay
from wetstream.commands.terminal.sources import show_segments
from wetstream.commands.terminal.text import shorten
from wetstream.pipeline.events import (
    Event,
    FilesRead,
    Lag,
    MicroBatch,
    Reading,
    RowsDone,
    SourceProgress,
    SourcesFound,
    Status,
)
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
    groups = [[], *([name] for name, command in cli.commands.items() if isinstance(command, click.Group))]
    for group in groups:
        lines = CliRunner().invoke(cli, [*group, "--help"], terminal_width=80).output.splitlines()[1:]
        assert [line for line in lines if line.endswith("...")] == [], "a summary is cut"


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
    # Of one segment: what they have in common is on both sides of the number.
    crawl = [f"CC-MAIN-20161202170900-0000{n}-ip-10-31-129-80.ec2.internal.warc.wet.gz" for n in range(4)]
    assert shorten(crawl, 14)[crawl[2]] == "…00002-ip-10-…"
    assert len(set(shorten(crawl, 9).values())) == 4
    console = Terminal(width=60, file=io.StringIO())
    show_segments(console, [ROW | {"source": name} for name in names])
    lines = console.file.getvalue().splitlines()[1:5]
    assert len({line.split()[0] for line in lines}) == 4 and max(map(len, lines)) <= 60


def drawn(width: int, events: list[Event]) -> list[str]:
    """What bars look like after some events, line by line."""
    console = Terminal(width=width, file=io.StringIO(), force_terminal=True)
    with ProgressDisplay(console, ingest=True, stream=True) as display:
        for event in events:
            display.show(event)
        assert display._bars is not None
        lines = console.render_lines(display._bars.get_renderable(), pad=False)
    return ["".join(segment.text for segment in line).rstrip() for line in lines]


NAMES = [f"crawl/CC-MAIN-20161202170900-0000{n}-ip-10-31-129-80.ec2.internal.warc.wet.gz" for n in range(4)]
SOURCES = dict.fromkeys(NAMES, 100 << 20)
READ = [SourceProgress(name, 50 << 20, 100 << 20, 1_234_567, 12_345_678_901) for name in SOURCES]


@pytest.mark.parametrize("width", [80, 120])
def test_each_bar_is_one_line_with_its_figures(width: int) -> None:
    before = drawn(width, [SourcesFound(SOURCES), *READ, Status("streaming"), Lag(36_000)])
    reading = drawn(width, [SourcesFound(SOURCES), *READ, Status("streaming"), Lag(36_000), Reading(1_500)])
    after = drawn(width, [SourcesFound(SOURCES), *READ, Reading(1_500), MicroBatch(1_234_567, 12_345.0, 1_234_567)])
    for lines in (before, reading, after):
        assert len(lines) == 6 and max(map(len, lines)) <= width, lines
        assert not any("…" in line for line in lines[:2])
        assert len({line.split()[1] for line in lines[2:]}) == 4  # the sources' names differ
        assert all("1,234,567 records" in line and "12.3 GB" in line for line in lines[2:])
    assert "streaming  lag 36,000" in before[1] and "1,500 records" in reading[1] and "lag 36,000" in reading[1]
    assert "1,234,567 records" in after[1] and "lag 1,234,567" in after[1]


def test_a_replay_of_files_has_numbers_while_it_reads_the_first() -> None:
    lines = drawn(80, [Status("replaying"), FilesRead(0, 40, 0), FilesRead(0, 40, 2_000)])
    assert "0/40 files  2,000 records" in lines[1]


def test_rows_are_shown_phase_by_phase() -> None:
    console = Terminal(width=80, file=io.StringIO(), force_terminal=True)
    with RowsDisplay(console) as display:
        display.show(RowsDone("counting words", 5, 10))
        display.show(RowsDone("writing", 3, 8))
        assert display._bars is not None
        (task,) = display._bars.tasks
        assert (task.description, task.completed, task.total) == ("writing", 3, 8)


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
