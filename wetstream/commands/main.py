"""The `wetstream` command: all its commands, and the one place where errors end."""

from __future__ import annotations

import sys

import click

from wetstream.commands import cluster, documents, explain, export, ingest, replay, sample, servers, statistics
from wetstream.commands.terminal import failures
from wetstream.commands.terminal.output import log_to_terminal


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="wetstream")
def cli() -> None:
    """Stream Common Crawl WET files into a documents table and live word statistics.

    Records go from WET files into a Kafka topic, through Spark Structured Streaming into a Delta table, and are counted
    in Redis, each exactly once. Start with `wetstream run FILE...`, or `wetstream demo`.

    Exit codes: 0 done; 1 failed or not complete; 2 wrong usage; 70 a bug in wetstream; 75 a server was away for too
    long; 130 and 143 interrupted (Ctrl-C, SIGTERM); 141 the reader of the output has gone.
    """
    log_to_terminal()


for module in (ingest, statistics, explain, documents, replay, export, servers, cluster, sample):
    for name, each in module.commands.commands.items():
        cli.add_command(each, name)


def main() -> None:
    """Run the command line of this process and exit."""
    sys.exit(failures.run(cli))
