"""The options by which commands are told what to ingest."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from conf.settings import Settings

if TYPE_CHECKING:
    from producers.sources.follow import Follower
    from producers.sources.source import Source


@dataclass(frozen=True)
class Wanted:
    """What a person asked to be ingested."""

    names: tuple[str, ...]
    alias: str | None
    base: str | None
    match: str | None
    offset: int
    limit: int | None
    allow_copies: bool
    follow: bool

    def sources(self, settings: Settings) -> list[Source]:
        """The sources to begin with; when following none, since those are taken as they rest."""
        return [] if self.follow else self.found(settings)

    def found(self, settings: Settings) -> list[Source]:
        """The sources that are there now."""
        from producers.sources.discover import DiscoverOptions, discover

        options = DiscoverOptions(self.base, self.match, self.offset, self.limit)
        return discover(self.names, alias=self.alias, options=options, settings=settings.producer)

    def follower(self, settings: Settings) -> Follower | None:
        """Who finds them, when following."""
        from producers.sources.discover import DiscoverOptions
        from producers.sources.follow import Follower

        if not self.follow:
            return None
        if self.alias is not None:
            raise click.UsageError("--as names one source; with --follow there are many")
        options = DiscoverOptions(self.base, self.match, self.offset, self.limit)
        return Follower(self.names, options, settings.producer)


OPTIONS = (
    click.argument("sources", nargs=-1, required=True, metavar="SOURCE..."),
    click.option("--as", "alias", metavar="NAME", help="Identity of the one source given, instead of its path."),
    click.option("--allow-copies", is_flag=True, help="Take a source whose content is ingested already."),
    click.option("--base", metavar="FOLDER|URL", help="Where a listing's files are (default: beside the listing)."),
    click.option("--match", metavar="PATTERN", help="Only sources with this in their name (* and ? allowed)."),
    click.option("--offset", type=click.IntRange(0), default=0, metavar="N", help="Leave out the first N sources."),
    click.option("--limit", type=click.IntRange(1), metavar="N", help="Take N sources at most."),
    click.option("--follow", is_flag=True, help="Go on with new files of the folders or listings, until stopped."),
    click.option("--verify-digests", is_flag=True, help="Compare each record with its WARC-Block-Digest."),
    click.option(
        "--workers", type=click.IntRange(1), metavar="N", help="Sources at the same time (default: one a core)."
    ),
)


def source_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The sources and their options, given to the command as `wanted`; settings among them are put in the settings."""

    @functools.wraps(function)
    def run(
        settings: Settings,
        sources: tuple[str, ...],
        verify_digests: bool,
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
        changed: dict[str, Any] = {"verify_digests": True} if verify_digests else {}
        if workers is not None:
            changed["workers"] = workers
        settings = settings.model_copy(update={"producer": settings.producer.model_copy(update=changed)})
        wanted = Wanted(sources, alias, base, match, offset, limit, allow_copies, follow)
        return function(settings, wanted, **options)

    for option in reversed(OPTIONS):
        run = option(run)
    return run
