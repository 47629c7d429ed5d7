"""Commands about whole pipelines: `pipelines list`, `pipelines drop`."""

from __future__ import annotations

import dataclasses
import sys

import click

from conf.settings import changed_settings
from wetstream import Pipeline
from wetstream.commands.options import NAME, command, json_option, note_event
from wetstream.commands.terminal.output import out

commands = click.Group()


@commands.group(name="pipelines")
def pipelines_group() -> None:
    """List and drop pipelines.

    Each has a topic, documents and statistics of its own; commands take it by --pipeline.
    """


@command(pipelines_group, name="list")
@json_option
def list_command(pipeline: Pipeline, as_json: bool) -> None:
    """List the pipelines of this documents folder and this broker."""
    from wetstream.commands.terminal.records import show_pipelines

    rows = pipeline.pipelines()
    if as_json:
        out.json([dataclasses.asdict(row) for row in rows])
    else:
        show_pipelines(out, rows, pipeline.settings.pipeline)


@command(pipelines_group, name="drop")
@click.argument("name", type=NAME)
@click.option("--yes", is_flag=True, help="Do not ask.")
def drop_command(pipeline: Pipeline, name: str, yes: bool) -> None:
    """Delete pipeline NAME and all that it has, for good.

    Its Kafka topics, documents, statistics and topic models go.
    """
    settings = changed_settings(pipeline.settings, {"pipeline": name})
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError(f"this deletes all that pipeline {name} has: confirm it by --yes")
        click.confirm(f"Delete Kafka topics, documents, statistics and topic models of pipeline {name}?", abort=True)
    with Pipeline(settings=settings, on_event=note_event) as dropped:
        dropped.drop()
    out.line(f"pipeline {name} is deleted")
