"""The only way from wetstream to a terminal: text is printed as it is, never read as markup, escapes or emoji codes.

`out` is for answers and `err` for progress and errors. Both write out every character that a terminal would act on
(see `printable`), in strings and in anything else that rich renders, and mask secrets.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleDimensions, ConsoleOptions, RenderableType
from rich.measure import Measurement
from rich.segment import Segment
from rich.style import Style
from rich.table import Table
from rich.text import Text

from conf.redaction import redact, redact_values
from wetstream.commands.terminal.text import json_safe, plain, printable

# Rows of a table that goes into a file or a pipe stay whole.
PIPE_WIDTH = 4096


class OutputClosedError(Exception):
    """The reader of our output has gone, as `head` does."""


class Terminal(Console):
    """A rich console for text from anywhere: a string is one line, escaped, without markup."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)
        self.records: logging.Logger | None = None
        """Where lines go in place of the terminal, so that all of them are records in JSON."""
        self.shows_progress = True
        """Whether bars and lines about progress are wanted (not with --quiet)."""

    @property
    def animated(self) -> bool:
        """Whether bars can be drawn: a terminal that moves its cursor and knows the characters."""
        return (
            self.shows_progress
            and self.records is None
            and self._is_tty
            and not self.is_dumb_terminal
            and self.encoding.startswith("utf")
        )

    @property
    def size(self) -> ConsoleDimensions:
        """Size of the terminal; without one, wide enough for any table."""
        if self._width is None and not self._is_tty:
            return ConsoleDimensions(PIPE_WIDTH, 25)
        return super().size

    @size.setter
    def size(self, new_size: tuple[int, int]) -> None:
        self._width, self._height = new_size

    @property
    def _is_tty(self) -> bool:
        # FORCE_COLOR asks for colours, not for a cursor.
        return bool(self.file.isatty()) if self._force_terminal is None else self._force_terminal

    def render_str(self, text: str, *, style: str | Style = "", **options: Any) -> Text:
        """Return the text of a string: of the options of rich, layout is kept, markup and emoji codes are off."""
        layout = {name: options[name] for name in ("justify", "overflow") if name in options}
        return Text(printable(redact(text), self.encoding), style=style, **layout)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render, and escape what came in as ready-made text."""
        for segment in super().render(renderable, options):
            if segment.control is None and segment.text != "\n":
                lines = segment.text.split("\n")
                yield Segment("\n".join(printable(line, self.encoding) for line in lines), segment.style)
            else:
                yield segment

    def line(self, text: object = "", style: str = "") -> None:
        """Print one line: in a terminal broken between words where it has to be, never cut."""
        if self.records is not None:
            self._record(str(text), style)
            return
        self.print(str(text), style=style, soft_wrap=not self._is_tty)

    def lines(self, text: str, style: str = "") -> None:
        """Print text that has lines of its own."""
        for line in re.split("\r?\n", text):
            self.line(line, style)

    def data(self, text: str) -> None:
        """Print the text of a record, line by line: escaped, but without masking what is no secret of ours."""
        for line in re.split("\r?\n", text):
            self.print(Text(printable(line, self.encoding)), soft_wrap=True)

    def parts(self, *parts: tuple[str, str]) -> None:
        """Print one line of differently styled parts, each a text and a style."""
        if self.records is not None:
            self._record("".join(part for part, _ in parts), parts[0][1])
            return
        text = Text.assemble(*((printable(redact(part), self.encoding), style) for part, style in parts))
        self.print(text, soft_wrap=not self._is_tty)

    def fits(self, renderable: RenderableType) -> bool:
        """Whether something can be shown in the width of the terminal without anything cut."""
        return Measurement.get(self, self.options.update(max_width=PIPE_WIDTH), renderable).maximum <= self.width

    def rows(self, rows: Iterable[Iterable[object]]) -> None:
        """Print rows for programs, a line each, values escaped and separated by tabs."""
        try:
            for row in rows:
                self.file.write("\t".join(printable(value, self.encoding) for value in row) + "\n")
            self.file.flush()
        except BrokenPipeError:
            self.on_broken_pipe()

    def json(self, value: Any, *, mask: bool = False) -> None:
        """Print an answer for programs: exactly the data, unsafe characters as JSON's escapes.

        Args:
            value: Mappings, sequences and plain values.
            mask: Mask secrets; for answers about servers and errors, which are no data.
        """
        if mask:
            value = redact_values(value)
        encoded = json.dumps(value, indent=2, ensure_ascii=False, default=plain)
        try:
            self.file.write(json_safe(encoded, self.encoding) + "\n")
            self.file.flush()
        except BrokenPipeError:
            self.on_broken_pipe()

    def _record(self, text: str, style: str) -> None:
        if self.records is not None and text.strip():
            level = logging.ERROR if "red" in style else logging.WARNING if "yellow" in style else logging.INFO
            self.records.log(level, text.removeprefix("error: "))

    def on_broken_pipe(self) -> None:
        """Stop writing; what is left in buffers goes nowhere."""
        self.quiet = True
        silence(self.file)
        raise OutputClosedError


def silence(stream: Any) -> None:
    """Send what is still buffered in a broken stream to nowhere, so that the interpreter can flush it at its end."""
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError, AttributeError):
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def table(*columns: str, right: Iterable[str] = (), wrapped: int = 0, **options: Any) -> Table:
    """Make a plain table.

    Args:
        *columns: Names of the columns on the left.
        right: Names of the columns that follow, aligned to the right.
        wrapped: Index of the one column that gives way where the terminal is narrow.
        **options: Options of rich's Table.
    """
    made = Table(box=None, pad_edge=False, **options)
    for index, name in enumerate(columns):
        made.add_column(name, overflow="fold", no_wrap=index != wrapped)
    for name in right:
        made.add_column(name, justify="right", no_wrap=True)
    return made


class LogHandler(logging.Handler):
    """Log lines through `err`."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one line."""
        try:
            err.line(self.format(record))
        except OutputClosedError:
            raise
        except Exception:
            self.handleError(record)


class JsonLogHandler(logging.Handler):
    """Log records to stderr, each a JSON object on a line of its own."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record."""
        try:
            err.file.write(self.format(record) + "\n")
            err.file.flush()
        except BrokenPipeError:
            err.on_broken_pipe()
        except Exception:
            self.handleError(record)


def log_to_terminal(form: str = "text", level: str = "info") -> None:
    """Send wetstream's log (waiting, healing, resuming) to stderr; of other packages, warnings only.

    Args:
        form: `text`: a line each. `json`: an object each, also for everything else that goes to stderr.
        level: The least level of wetstream's own records.
    """
    if form == "json":
        from pythonjsonlogger.json import JsonFormatter

        class RedactingFormatter(JsonFormatter):
            """Masks secrets before the text becomes JSON: afterwards it is escaped, and a mask could eat a quote."""

            def process_log_record(self, log_data: Any) -> Any:
                return redact_values(log_data)

        handler: logging.Handler = JsonLogHandler()
        names = {"levelname": "level", "name": "logger"}
        handler.setFormatter(
            RedactingFormatter(
                "%(levelname)s %(name)s %(message)s", timestamp=True, rename_fields=names, json_ensure_ascii=True
            )
        )
    else:
        handler = LogHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("wetstream").setLevel(level.upper())
    err.records = logging.getLogger("wetstream.command") if form == "json" else None
    # We report Kafka's retries ourselves, in one line. A call to Java that Ctrl-C cuts off would print its whole stack.
    for noisy in ("kafka", "py4j"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)


out = Terminal()
err = Terminal(stderr=True)
