"""Options that say what to ingest."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from conf.settings import changed_settings
from wetstream import Pipeline
from wetstream.commands.options import MAX_COUNT, NAME, PATH_OR_URL, Count, base_option

OPTIONS = (
    click.argument("sources", nargs=-1, required=True, type=PATH_OR_URL, metavar="SOURCE..."),
    click.option("--as", "alias", type=NAME, metavar="NAME", help="Identity of the one source, in place of its path."),
    click.option("--allow-copies", is_flag=True, help="Also take sources whose content is ingested already."),
    base_option,
    click.option("--match", type=NAME, metavar="PATTERN", help="Only sources with this in their names (* and ?)."),
    click.option("--offset", type=Count(0, MAX_COUNT), default=0, metavar="N", help="Skip N sources."),
    click.option("--limit", type=Count(1, MAX_COUNT), metavar="N", help="Take at most N sources."),
    click.option(
        "--allow-foreign-sources",
        is_flag=True,
        help="Let a remote listing name files of other servers (of this machine: never).",
    ),
    click.option("--follow", is_flag=True, help="Also take new files of the folders or listings, until stopped."),
    click.option("--verify-digests", is_flag=True, help="Compare every record with its WARC-Block-Digest."),
    click.option("--workers", type=Count(1, 1_000), metavar="N", help="Read N sources at once (default: a core each)."),
)


def source_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the sources and their options, which the command gets as names and `IngestOptions`."""

    @functools.wraps(function)
    def run(
        pipeline: Pipeline,
        sources: tuple[str, ...],
        verify_digests: bool,
        allow_foreign_sources: bool,
        workers: int | None,
        alias: str | None,
        base: str | None,
        match: str | None,
        offset: int,
        limit: int | None,
        allow_copies: bool,
        follow: bool,
        **options: Any,
    ) -> Any:
        from wetstream import IngestOptions

        flags = {
            "producer.verify_digests": verify_digests or None,
            "producer.allow_foreign_sources": allow_foreign_sources or None,
            "producer.workers": workers,
        }
        pipeline.settings = changed_settings(pipeline.settings, flags)
        wanted = IngestOptions(alias, base, match, offset, limit, allow_copies, follow)
        return function(pipeline, sources, wanted, **options)

    for option in reversed(OPTIONS):
        run = option(run)
    return run
