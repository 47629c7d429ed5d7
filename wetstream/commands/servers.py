"""Commands about servers: `up`, `down`, `status`, `doctor`, `serve`."""

from __future__ import annotations

import dataclasses
import sys

import click

from conf.settings import changed_settings
from wetstream import Event, Pipeline, Status
from wetstream.commands.options import NAME, Count, command, json_option
from wetstream.commands.terminal.output import out

commands = click.Group()


@command(commands, name="up")
def up_command(pipeline: Pipeline) -> None:
    """Start the embedded Kafka broker and Redis.

    A server that is configured (kafka.bootstrap_servers, redis.url) is used in place of the embedded one.
    """
    pipeline.on_event = _say
    if not pipeline.start_servers():
        out.line("nothing to start: both kafka.bootstrap_servers and redis.url are configured")


@command(commands, name="down")
def down_command(pipeline: Pipeline) -> None:
    """Stop the embedded servers; their data stay."""
    pipeline.on_event = _say
    if not pipeline.stop_servers():
        out.line(f"nothing to stop: no embedded server of {pipeline.settings.home} runs")


@command(commands, name="status")
@json_option
def status_command(pipeline: Pipeline, as_json: bool) -> None:
    """Show the embedded servers, and how much waits in the topic."""
    from wetstream.commands.terminal.servers import show_servers
    from wetstream.servers import embedded

    rows = embedded.status(pipeline.settings.home)
    if as_json:
        out.json([dataclasses.asdict(row) for row in rows], mask=True)
    else:
        show_servers(out, rows, pipeline.settings)
        lag = pipeline.lag()
        if lag is not None:
            out.line(f"pipeline {pipeline.settings.pipeline}: {lag:,} offsets of its topic wait for a stream")


@command(commands, name="doctor")
@json_option
def doctor_command(pipeline: Pipeline, as_json: bool) -> None:
    """Check this machine and the servers, and name remedies."""
    from wetstream.commands.terminal.servers import show_checks
    from wetstream.doctor import outside_documents, run_checks
    from wetstream.servers.check import Needs

    settings = pipeline.settings
    checks = run_checks(
        settings.home,
        bootstrap_servers=settings.bootstrap_servers,
        redis_servers=settings.redis_servers,
        needs=Needs(settings.pipeline, settings.records_topic, settings.progress_topic, settings.redis.max_memory_mb),
        documents=outside_documents(settings),
    )
    if as_json:
        out.json([dataclasses.asdict(check) for check in checks], mask=True)
    else:
        show_checks(out, checks)
    sys.exit(int(any(check.level == "fail" for check in checks)))


@command(commands, name="serve")
@click.option("--host", type=NAME, help="Address to listen on (default: this machine only). Others need a token.")
@click.option("--port", type=Count(0, 65_535), help="Port to listen on (default: 8400; 0: any free one).")
def serve_command(pipeline: Pipeline, host: str | None, port: int | None) -> None:
    """Serve live statistics over HTTP.

    The dashboard is at /, JSON under /api/v1, metrics for Prometheus at /metrics.
    """
    settings = changed_settings(pipeline.settings, {"serve.host": host, "serve.port": port})
    Pipeline(settings=settings).serve(out.line)


def _say(event: Event) -> None:
    if isinstance(event, Status):
        out.line(event.text)
