"""The `wetstream` command: all its commands, and the one place where errors end."""

from __future__ import annotations

import sys

import click

from wetstream.commands import (
    cluster,
    completion,
    documents,
    explain,
    export,
    ingest,
    pipelines,
    replay,
    sample,
    servers,
    statistics,
    vocabulary,
)
from wetstream.commands.models import topics
from wetstream.commands.terminal import failures
from wetstream.commands.terminal.output import log_to_terminal

SECTIONS = {
    "Ingest": ("run", "ingest", "stream", "demo", "sample"),
    "Look": (
        *("stats", "top", "word", "search", "vocabulary", "zipf", "growth", "languages", "tlds", "hosts", "days"),
        *("diff", "trends", "segments", "batches", "explain", "show"),
    ),
    "Batch": ("replay", "remove", "takedowns", "export", "p21"),
    "Model": ("topics",),
    "Upkeep": ("verify", "repair", "rebuild", "upgrade", "documents", "generations", "pipelines"),
    "Servers": ("serve", "up", "down", "status", "doctor", "package", "compile", "completion"),
}


class Sections(click.Group):
    """A group whose help lists the commands by what they are for."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a list for each section."""
        width = max(map(len, self.commands))
        for title, names in SECTIONS.items():
            limit = formatter.width - width - 6
            rows = [(name.ljust(width), self.commands[name].get_short_help_str(limit)) for name in names]
            with formatter.section(title):
                formatter.write_dl(rows)


@click.group(cls=Sections, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="wetstream")
def cli() -> None:
    """Stream Common Crawl WET files into a documents table and live word statistics.

    Records go from WET files into a Kafka topic, through Spark Structured Streaming into a Delta table, and are counted
    in Redis, each exactly once. Start with `wetstream run FILE...`, or `wetstream demo`.

    NO_COLOR=1 turns colours off; --quiet leaves out progress; --json prints an answer for programs.

    Exit codes: 0 done; 1 failed or not complete; 2 wrong usage; 70 a bug in wetstream; 75 a server was away for too
    long; 130 and 143 interrupted (Ctrl-C, SIGTERM); 141 the reader of the output has gone.
    """
    log_to_terminal()


MODULES = (
    *(ingest, statistics, vocabulary, explain, documents, replay, pipelines, export, servers, cluster, sample),
    *(topics, completion),
)
for module in MODULES:
    for name, each in module.commands.commands.items():
        cli.add_command(each, name)


def main() -> None:
    """Run the command line of this process and exit."""
    sys.exit(failures.run(cli))
