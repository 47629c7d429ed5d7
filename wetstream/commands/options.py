"""Options that every command takes, and types of options."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from conf.plain_text import parse_number, parse_whole
from conf.settings import SettingsError, load_settings
from wetstream import Event, Note, Pipeline, Status
from wetstream.commands.terminal.failures import DEBUG_VARIABLE
from wetstream.commands.terminal.output import err, log_to_terminal

# The largest integer that JSON, Redis scores and JavaScript hold exactly.
MAX_COUNT = 2**53
COMMON_OPTIONS = 5


class Name(click.ParamType[str]):
    """Text that must not be empty; with `utf8`, nor hold bytes that are no UTF-8, as only paths may."""

    name = "text"

    def __init__(self, *, utf8: bool = True) -> None:
        self._utf8 = utf8

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the text. Raises BadParameter."""
        text = str(value)
        if not text.strip():
            self.fail("it must not be empty", param, ctx)
        if self._utf8 and any("\ud800" <= each <= "\udfff" for each in text):
            self.fail(f"{text} is not UTF-8", param, ctx)
        return text


class FilePath(click.Path):
    """A path that names something: not empty, and no NUL in it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path. Raises BadParameter."""
        if not str(value).strip():
            self.fail("it must not be empty", param, ctx)
        if "\0" in str(value):
            self.fail(f"{value} holds a NUL character", param, ctx)
        return super().convert(value, param, ctx)


class Count(click.IntRange):
    """A whole number in a range."""

    name = "n"

    def _describe_range(self) -> str:
        return _range(self.min, self.max)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number. Raises BadParameter."""
        try:
            number = parse_whole(str(value))
        except ValueError as error:
            self.fail(f"{value!r} {error}", param, ctx)
        return int(super().convert(number, param, ctx))


class Number(click.FloatRange):
    """A finite number in a range."""

    name = "number"

    def _describe_range(self) -> str:
        return _range(self.min, self.max)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number. Raises BadParameter."""
        try:
            number = parse_number(str(value))
        except ValueError as error:
            self.fail(f"{value!r} {error}", param, ctx)
        return float(super().convert(number, param, ctx))


def _range(least: float | None, most: float | None) -> str:
    """Describe a range in a help text; limits that nobody meets are left out."""
    return "" if most is None or most >= 1_000_000 else f"{least:g} to {most:g}"


NAME = Name()
PATH_OR_URL = Name(utf8=False)


def command(group: click.Group, **kwargs: Any) -> Callable[[Callable[..., Any]], click.Command]:
    """Make a command of `group` whose function gets the pipeline first, made from the common options."""

    def decorate(function: Callable[..., Any]) -> click.Command:
        @functools.wraps(function)
        def run(
            config: Path | None,
            pipeline: str | None,
            assignments: tuple[str, ...],
            debug: bool,
            quiet: bool,
            **options: Any,
        ) -> Any:
            if debug:
                os.environ[DEBUG_VARIABLE] = "1"
            err.shows_progress = not quiet
            flags: dict[str, Any] = {"pipeline": pipeline, "profile": options.pop("profile", None)}
            flags.update(_assignment(text) for text in assignments)
            settings = load_settings(config, flags)
            log_to_terminal(settings.log.format, "warning" if quiet else settings.log.level)
            with Pipeline(settings=settings, on_event=note_event) as opened:
                return function(opened, **options)

        for option in (
            click.option("-q", "--quiet", is_flag=True, help="Print answers, warnings and errors, no progress."),
            click.option("--debug", is_flag=True, help="Show the traceback of an error."),
            click.option(
                "--set",
                "assignments",
                multiple=True,
                metavar="KEY=VALUE",
                help="Override a setting of conf/default.toml.",
            ),
            click.option("--pipeline", type=NAME, metavar="NAME", help="Pipeline to work on (default: main)."),
            click.option(
                "--config",
                type=FilePath(dir_okay=False, path_type=Path),
                metavar="FILE",
                help="Settings file (TOML) that overrides the defaults.",
            ),
        ):
            run = option(run)
        made = group.command(**kwargs)(run)
        # A command's own options first.
        made.params = made.params[COMMON_OPTIONS:] + made.params[:COMMON_OPTIONS]
        return made

    return decorate


def profile_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--profile`, which `command` puts into the settings."""
    return click.option(
        "--profile",
        type=PATH_OR_URL,
        metavar="NAME|FILE",
        help="Cleaning rules: english, p21, or a .toml file of your own.",
    )(function)


base_option = click.option(
    "--base", type=PATH_OR_URL, metavar="FOLDER|URL", help="Where a listing's files are (default: beside the listing)."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
min_df_option = click.option(
    "--min-df",
    type=Count(1, MAX_COUNT),
    default=1,
    metavar="N",
    help="Only words that occur in at least N documents.",
)
max_df_option = click.option(
    "--max-df", type=Number(0, 1), metavar="SHARE", help="Only words in less than this share of the documents."
)


def limit_option(what: str, maximum: int = 1_000_000) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make `-n`/`--limit`: how many of `what` to show."""
    return click.option(
        "-n",
        "--limit",
        type=Count(1, maximum),
        default=20,
        show_default=True,
        help=f"Show at most N {what}.",
    )


def note_event(event: Event) -> None:
    """Print what a pipeline without bars reports, on stderr."""
    if isinstance(event, Note) or (isinstance(event, Status) and err.shows_progress):
        err.line(event.text, "dim" if isinstance(event, Status) else "yellow")


def _assignment(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise SettingsError(f"--set {text}: write KEY=VALUE, as in --set kafka.partitions=16")
    return key.strip(), value
