"""Takes pages down: by URL, host or pattern, through the running stream if there is one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from conf.settings import Settings
from sinks.documents.files import read_urls
from sinks.documents.table import Documents
from sinks.documents.takedowns import Takedown, TakedownKind, TakedownMatcher
from sinks.keys import changes_key
from sinks.lease import Lease
from sinks.requests import Request
from wetstream.pipeline.connections import find_redis, open_redis
from wetstream.pipeline.remove import have_removed
from wetstream.pipeline.takedown.purge import Purge, purge
from wetstream.pipeline.writer_lease import live_documents


@dataclass(frozen=True, slots=True)
class TakenDown:
    """What `Pipeline.take_down` has done.

    Attributes:
        takedowns: What is kept out from now on.
        pages: Pages that were in the documents table and are taken down now.
        purge: What was deleted from old versions and from the topic, and what was searched; None: not asked for.
    """

    takedowns: list[Takedown]
    pages: int
    purge: Purge | None


def make_takedowns(urls: Sequence[str], hosts: Sequence[str], patterns: Sequence[str]) -> list[Takedown]:
    """Check what a user wrote. Raises TakedownError."""

    def made() -> Iterator[Takedown]:
        given = {TakedownKind.URL: urls, TakedownKind.HOST: hosts, TakedownKind.PATTERN: patterns}
        for kind, values in given.items():
            for value in dict.fromkeys(values):
                yield Takedown.make(kind, value)

    return list(made())


def take_down(
    settings: Settings, takedowns: Sequence[Takedown], note: Callable[[str], None], *, purges: bool
) -> TakenDown:
    """Take pages down, and with `purges` delete what is left of them. Raises what `PageTakedowns.take_down` raises."""
    redis = open_redis(find_redis(settings), settings.pipeline)
    changes = Lease(redis, changes_key(settings.pipeline), lease_s=settings.stream.lease_s)
    changes.acquire()
    try:
        live_documents(settings)
        pages = have_removed(settings, redis, Request(takedowns=takedowns), note) if takedowns else 0
        return TakenDown(list(takedowns), pages, purge(settings, note) if purges else None)
    finally:
        changes.release()


def count_pages(documents: Documents, takedowns: Sequence[Takedown]) -> int:
    """Count the rows of a documents table that takedowns fit."""
    matcher = TakedownMatcher(takedowns)
    files = documents.files()
    return sum(matcher.match(*read_urls(documents.location / file["path"])).true_count for file in files)
