"""Commands about one record: `explain` and `show`."""

from __future__ import annotations

import dataclasses
import re

import click

from wetstream import NotFoundError, Pipeline
from wetstream.commands.options import MAX_COUNT, NAME, PATH_OR_URL, Count, command, json_option, profile_option
from wetstream.commands.terminal.output import out

commands = click.Group()


@command(commands, name="explain")
@click.argument("target", type=PATH_OR_URL, metavar="URL|FILE")
@profile_option
@click.option("--record", type=Count(1, MAX_COUNT), default=1, help="Which page of a WET file (the first is 1).")
@click.option("--examples", type=Count(0, 100_000), default=10, help="How many examples of each kind.")
@json_option
def explain_command(pipeline: Pipeline, target: str, record: int, examples: int, as_json: bool) -> None:
    """Explain why a page was kept or rejected.

    Shows its language, its valid and dropped tokens, and its bag of words. URL is looked up in the documents table
    and read from the topic. FILE is a WET file, or plain text (.txt). --profile: as other rules would judge it.
    """
    from wetstream.commands.terminal.records import show_explanation

    found = pipeline.explain(target, record=record, examples=examples)
    if as_json:
        out.json(
            {"page": found.page, "url": found.url, "profile": found.profile} | dataclasses.asdict(found.explanation)
        )
    else:
        show_explanation(out, found.page, found.url, found.profile, found.explanation, examples)


@command(commands, name="show")
@click.argument("target", type=NAME, metavar="URL|PARTITION:OFFSET")
@json_option
def show_command(pipeline: Pipeline, target: str, as_json: bool) -> None:
    """Show a record as it was read, and its row.

    URL is looked up in the documents table; PARTITION:OFFSET is a position of the topic.
    """
    from wetstream.commands.terminal.records import show_record

    found = pipeline.record_of(target) if "://" in target else pipeline.message(*_position(target))
    if as_json:
        text = {"key": found.key, "value": found.value}
        decoded = {name: None if raw is None else raw.decode("utf-8", "backslashreplace") for name, raw in text.items()}
        out.json({**decoded, "row": found.row})
    else:
        show_record(out, found.key, found.value, found.row)


def _position(text: str) -> tuple[int, int]:
    """Parse `3:4711` into partition and offset. Raises NotFoundError."""
    match = re.fullmatch(r"([0-9]{1,9}):([0-9]{1,18})", text)
    if match is None:
        raise NotFoundError(f"{text} is neither a URL (http://…) nor a position of the topic (3:4711)")
    return int(match[1]), int(match[2])
