"""Options that every command takes, and how its errors reach a person: one sentence, no traceback."""

from __future__ import annotations

import functools
import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.logging import RichHandler

from conf.errors import ExplainedError
from conf.settings import Settings, SettingsError, load_settings

# Into a file or a pipe nothing is cut off at the width of a terminal that is not there.
out = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
err = Console(stderr=True, highlight=False)


class CommandError(click.ClickException):
    """An error as a person sees it."""

    def show(self, file: Any = None) -> None:
        """Print it."""
        err.print("[bold red]error:[/] ", end="")
        err.print(self.message, markup=False, soft_wrap=True)


def command(group: click.Group, **kwargs: Any) -> Callable[[Callable[..., Any]], click.Command]:
    """A command of `group` whose function gets the settings first; common options, and errors in a sentence."""

    def decorate(function: Callable[..., Any]) -> click.Command:
        @functools.wraps(function)
        def run(config: Path | None, pipeline: str | None, assignments: tuple[str, ...], **options: Any) -> Any:
            try:
                flags: dict[str, Any] = {"pipeline": pipeline, "profile": options.pop("profile", None)}
                flags.update(_assignment(text) for text in assignments)
                return function(load_settings(config, flags), **options)
            except ExplainedError as error:
                raise CommandError(str(error)) from None
            except BrokenPipeError:
                sys.exit(141)

        for option in (
            click.option(
                "--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Set any setting by its name."
            ),
            click.option("--pipeline", metavar="NAME", help="Pipeline to work on (default: main)."),
            click.option(
                "--config",
                type=click.Path(dir_okay=False, path_type=Path),
                help="File of settings (TOML), over the defaults.",
            ),
        ):
            run = option(run)
        return group.command(**kwargs)(run)

    return decorate


def profile_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--profile`, taken into the settings by `command`."""
    return click.option("--profile", metavar="NAME|FILE", help="Cleaning rules: english, p21, or a .toml of yours.")(
        function
    )


json_option = click.option("--json", "as_json", is_flag=True, help="Answer in JSON, for machines.")


def log_to_terminal() -> None:
    """What wetstream logs (waiting, healing, going on) goes to stderr, one line each."""
    handler: logging.Handler = logging.StreamHandler()
    if err.is_terminal:
        handler = RichHandler(console=err, show_path=False, show_level=False, markup=False, log_time_format="%H:%M:%S")
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logger = logging.getLogger("wetstream")
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)
    # Its retries are ours to report, in one line instead of one each.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    # A call to Java that Ctrl-C cuts off would print its whole stack.
    logging.getLogger("py4j").setLevel(logging.CRITICAL)


def _assignment(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise SettingsError(f"--set {text}: write KEY=VALUE, as in --set kafka.partitions=16")
    return key.strip(), value


__all__ = [
    "CommandError",
    "Settings",
    "command",
    "err",
    "json_option",
    "log_to_terminal",
    "out",
    "print_json",
    "profile_option",
]


def print_json(value: Any) -> None:
    """An answer for machines."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))
