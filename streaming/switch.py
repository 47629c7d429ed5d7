"""Makes a generation the live one, and its statistics the ones that are read."""

from __future__ import annotations

from typing import Any

from conf.crash_points import crash_point
from conf.settings import Settings
from sinks.documents.exclusions import SourceRange
from sinks.documents.generations import Generations
from sinks.documents.table import Documents
from sinks.documents.takedowns import Takedown
from sinks.keys import changes_key, replay_lease_key
from sinks.lease import Lease
from sinks.removal import finish_removal, remove_records
from sinks.statistics.builds import open_builds


def switch(settings: Settings, redis: Any, generation: str) -> int:
    """Make a generation the live one, with its statistics.

    What was removed from the live generation since is removed from this one first. A running stream continues with it.

    Returns:
        The number of records that it holds.

    Raises:
        DocumentsError: There is no such generation.
        LeaseError: It is still being filled, or another switch or removal is in progress.
        FencedError: Another process has changed the live generation meanwhile.
    """
    generations = Generations.of(settings)
    builds = open_builds(settings, redis)
    lease = Lease(redis, changes_key(settings.pipeline), lease_s=settings.stream.lease_s)
    lease.acquire()
    try:
        filling = Lease(redis, replay_lease_key(settings.pipeline), lease_s=settings.stream.lease_s)
        filling.acquire()
        try:
            replaced = generations.pointer()
            found = generations.open(generation)
            documents = found.documents
            finish_removal(documents, compression_level=settings.documents.compression_level)
            statistics = builds.catch_up(found, documents.position(), live=False)
            ends, ranges, takedowns = _removed_since(generations, documents)
            if ends or ranges or takedowns:
                level = settings.documents.compression_level
                remove_records(documents, statistics, ends, ranges, takedowns, compression_level=level)
            crash_point("before-switch")
            generations.point_to(generation, replaced)
            crash_point("after-switch")
            builds.publish(statistics)
            return documents.row_count()
        finally:
            filling.release()
    finally:
        lease.release()


def _removed_since(
    generations: Generations, documents: Documents
) -> tuple[dict[str, tuple[int, int]], list[SourceRange], list[Takedown]]:
    """Removals of the live generation that this one does not know: ends of sources, ranges in excess, takedowns."""
    ends: dict[str, tuple[int, int]] = {}
    ranges: list[SourceRange] = []
    live = generations.open_live()
    if live is None or live.documents.location == documents.location:
        return ends, ranges, []
    known = {(e.source, e.partition, e.begin): e.end for e in documents.exclusions() if e.removal}
    for e in live.documents.exclusions():
        if not e.removal or known.get((e.source, e.partition, e.begin), -1) >= e.end:
            continue
        if e.begin:
            ranges.append(SourceRange(e.source, e.partition, e.begin, e.end))
        else:
            ends[e.source] = (e.partition, e.end)
    taken_down = {(takedown.kind, takedown.value) for takedown in documents.takedowns()}
    takedowns = [each for each in live.documents.takedowns() if (each.kind, each.value) not in taken_down]
    return ends, ranges, takedowns
