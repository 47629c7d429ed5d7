"""Commands about one record: `explain` and `show`."""

from __future__ import annotations

import dataclasses

import click

from wetstream.commands.options import MAX_COUNT, NAME, PATH_OR_URL, Count, command, json_option, profile_option
from wetstream.commands.terminal.output import out
from wetstream.pipeline.pipeline import Pipeline

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
    from streaming.text.explain import explain
    from wetstream.commands.terminal.records import show_explanation
    from wetstream.pipeline.lookup import find_page
    from wetstream.pipeline.profile import pipeline_profile

    profile = pipeline_profile(pipeline.settings, replace_rules=True)  # it only looks
    page = find_page(pipeline.settings, target, record)
    explanation = explain(page.payload, page.language_header, profile, examples)
    if as_json:
        out.json({"page": page.name, "url": page.url, "profile": profile.name} | dataclasses.asdict(explanation))
    else:
        show_explanation(out, page.name, page.url, profile.name, explanation, examples)


@command(commands, name="show")
@click.argument("position", type=NAME, metavar="PARTITION:OFFSET")
@json_option
def show_command(pipeline: Pipeline, position: str, as_json: bool) -> None:
    """Show the record at a position of the topic.

    Shows it as it was read, and its row in the documents table.
    """
    from wetstream.commands.terminal.records import show_record
    from wetstream.pipeline.connections import find_servers
    from wetstream.pipeline.lookup import message_at, parse_position, row_at

    partition, offset = parse_position(position)
    bootstrap_servers = find_servers(pipeline.settings).bootstrap_servers
    key, value = message_at(pipeline.settings, bootstrap_servers, partition, offset)
    row = row_at(pipeline.documents, partition, offset)
    if as_json:
        text = {"key": key, "value": value}
        decoded = {name: None if raw is None else raw.decode("utf-8", "backslashreplace") for name, raw in text.items()}
        out.json({**decoded, "row": row})
    else:
        show_record(out, key, value, row)
