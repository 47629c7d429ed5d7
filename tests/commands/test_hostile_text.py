"""Text from data on a terminal: whatever it holds, it is shown, and acts on nothing."""

from __future__ import annotations

import io
import json
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from producers.report import Note, Outcome, OutcomeState, SourceProgress
from tests.examples import examples
from wetstream.commands.terminal.output import Terminal
from wetstream.commands.terminal.progress import ProgressDisplay
from wetstream.commands.terminal.records import row_line, show_record
from wetstream.commands.terminal.sources import show_outcomes, show_segments
from wetstream.commands.terminal.statistics import show_batches, show_pages, show_words
from wetstream.commands.terminal.text import end_of, json_safe, printable
from wetstream.pipeline.events import MicroBatch, SourcesFound, Status

HOSTILE = [
    "[/]",
    "[red]x[/red]",
    "[link=file:///etc/passwd]x[/link]",
    "[bold",
    ":smile:",
    "\x1b[2J",
    "\x1b]0;title\x07",
    "\x9b31m",
    "\u202egpj.exe",
    "a\u200bb\ufeff",
    "line\nbreak",
    "\r\rover",
    "\t",
    "\x00",
    "\u2028\u2029\x85",
    "\udcff\udc80",
    "\ud800",
    "漢字かな",
    "e\u0301\u0301",
    "🙂👩\u200d💻",
    "\u115f\u3164\U000e0041",
]
hostile_text = st.lists(st.one_of(st.sampled_from(HOSTILE), st.text(st.characters(), max_size=6)), max_size=5).map(
    "".join
)
# What rich itself writes to a terminal: colours and the movements of its bars.
RICH = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def acts_on_a_terminal(text: str) -> set[str]:
    """The characters of printed text that are no visible part of it, by Unicode's own categories."""
    return {
        each for each in text if each != "\n" and unicodedata.category(each) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
    }


def terminal(width: int = 80, *, tty: bool = False, encoding: str = "utf-8") -> tuple[Terminal, io.TextIOWrapper]:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True, newline="")
    return Terminal(file=file, width=width, force_terminal=tty, _environ={"TERM": "xterm-256color"}), file


def shown(file: io.TextIOWrapper) -> str:
    buffer = file.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode(file.encoding)


@pytest.mark.fuzz
@examples(100)
@given(hostile_text)
def test_printable_text_is_one_visible_line_and_idempotent(text: str) -> None:
    once = printable(text)
    assert acts_on_a_terminal(once) == set() and "\n" not in once
    assert printable(once) == once
    assert printable(text, "ascii").isascii()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\x1b[31m", r"\x1b[31m"),
        ("a\u202eb", r"a\u202eb"),
        ("\n\r\t", r"\n\r\t"),
        ("\udcff", r"\xff"),
        ("\U000e0041", r"\U000e0041"),
        ("[red]:smile:[/]", "[red]:smile:[/]"),
        ("漢字 naïve e\u0301 🙂", "漢字 naïve e\u0301 🙂"),
    ],
)
def test_escaped_and_unescaped_characters(text: str, expected: str) -> None:
    assert printable(text) == expected


@pytest.mark.fuzz
@examples(100)
@given(hostile_text, hostile_text, st.sampled_from([20, 80, 120]), st.booleans(), st.sampled_from(["utf-8", "ascii"]))
def test_every_renderer_shows_hostile_names_and_words(
    name: str, message: str, width: int, tty: bool, encoding: str
) -> None:
    console, file = terminal(width, tty=tty, encoding=encoding)
    outcome = Outcome(name, OutcomeState.FAILED, message, 1, 1, 1.0, [message])
    row = {"source": name, "state": name, "produced": 1, "records": 1, "documents": 1, "tokens": 1, "rejected": {}}
    word = {"word": name, "tf": 1, "df": 1, "idf": 0.5, "rank": 1}
    show_outcomes(console, [outcome, outcome])
    show_segments(console, [row, row])
    show_words(console, [word])
    show_pages(console, [{"name": name, "pages": 1, "documents": 1}], 1)
    show_record(console, name.encode("utf-8", "replace"), message.encode("utf-8", "replace"), {"url": name})
    console.line(f"error: {message}")
    console.parts(("error: ", "bold red"), (message, ""))
    console.lines(message)
    assert acts_on_a_terminal(RICH.sub("", shown(file)) if tty else shown(file)) == set()
    assert row_line({"url": name}) == f"url={name}"


@pytest.mark.fuzz
@examples(100)
@given(hostile_text, hostile_text, st.booleans())
def test_progress_shows_hostile_names(name: str, message: str, tty: bool) -> None:
    console, file = terminal(tty=tty)
    with ProgressDisplay(console, ingest=True, stream=True) as display:
        display.show(SourcesFound({name: 10}))
        display.show(SourceProgress(name, 5, 10, 1, 5))
        display.show(Note(name, message))
        display.show(Status(message))
        display.show(Outcome(name, OutcomeState.DONE, message, 1, 1, 1.0))
        display.show(MicroBatch(1, 1.0, 0))
    text = shown(file).replace("\r", "") if tty else shown(file)
    assert acts_on_a_terminal(RICH.sub("", text) if tty else text) == set()


@pytest.mark.fuzz
@examples(100)
@given(
    st.recursive(
        st.none() | st.integers() | hostile_text,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(hostile_text, inner, max_size=3),
        max_leaves=6,
    ),
    st.sampled_from(["utf-8", "ascii", "iso-8859-1"]),
)
def test_json_output_is_exactly_the_data(value: object, encoding: str) -> None:
    console, file = terminal(encoding=encoding)
    console.json(value)
    printed = shown(file)
    # JSON cannot tell two surrogates in a row from the character that such a pair stands for.
    assert json.loads(printed) == json.loads(json.dumps(value))
    assert acts_on_a_terminal(printed) == set()
    assert json_safe('"\u202e"') == r'"\u202e"'


@pytest.mark.fuzz
@examples(100)
@given(hostile_text, st.integers(1, 40))
def test_names_are_shortened_at_their_beginning(text: str, width: int) -> None:
    safe = printable(text)
    cut = end_of(safe, width)
    assert cell_len(cut) <= width and safe.endswith(cut.removeprefix("…"))


def test_wide_words_keep_the_columns_aligned() -> None:
    console, file = terminal()
    show_words(console, [{"word": word, "tf": 1234, "df": 7} for word in ("漢字", "word", "e\u0301te\u0301", "カナ")])
    lines = shown(file).splitlines()
    assert {cell_len(line.rstrip()) for line in lines} == {cell_len(lines[0].rstrip())}


def test_tables_fit_80_columns_without_cutting_figures() -> None:
    long = "file:///data/" + "very-long-folder/" * 9 + "CC-MAIN-00001.warc.wet.gz"
    row = {"source": long, "state": "streaming", "records": 123456, "documents": 98765, "rejected": {"language": 9}}
    console, file = terminal(80)
    show_segments(console, [{**row, "produced": 123456, "tokens": 1234567890}])
    header, line = (each.rstrip() for each in shown(file).splitlines())
    assert cell_len(header) <= 80 and cell_len(line) <= 80
    assert line.startswith("…") and "CC-MAIN-00001" in line and "1,234,567,890" in line


@pytest.mark.parametrize(("width", "missing"), [(80, "compact"), (120, None)])
def test_a_narrow_terminal_shows_fewer_columns_of_batches_and_says_so(width: int, missing: str | None) -> None:
    seconds = {"addBatch": 25.55, "table": 0.02, "redis": 0.38, "latestOffset": 1.53, "triggerExecution": 28.34}
    batch = {"at": 0.0, "rows": 803, "rows_per_s": 28.0, "payload_bytes": 4_600_000, "words": 7681, "files": 2}
    console, file = terminal(width)
    show_batches(console, [{**batch, "seconds": seconds, "lag": 0}])
    header, line, *rest = shown(file).splitlines()
    assert "…" not in header + line and "28.34" in line and max(cell_len(header), cell_len(line)) <= width
    assert (missing is None and not rest) or (missing in rest[0] and missing not in header)


def test_names_are_not_shortened_in_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    file = io.StringIO()
    long = "/data/" + "x" * 300
    show_outcomes(Terminal(file=file), [Outcome(long, OutcomeState.DONE)])
    assert long in file.getvalue()
