"""Builds of the statistics in Redis, which follow the documents table whatever happened to Redis.

If Redis is behind (an old snapshot, a lost tail, a crash between the two commits), the missing range is read from the
table and added. If it is empty, ahead, or has not counted a removal or a commit from files, all documents are counted
into a new build, and readers switch to it when it is complete.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import cast

from redis import Redis

from conf.crash_points import crash_point
from sinks.documents.generations import Generation
from sinks.documents.log import FILE_COMMITS, REMOVALS
from sinks.documents.table import Documents, Range
from sinks.keys import Keys, build_number_key, build_prefix, builds_key, generations_key, live_key
from sinks.position import EMPTY_POSITION, Position
from sinks.statistics.derive import derive
from sinks.statistics.store import Statistics

log = logging.getLogger("wetstream")

# For readers that have just read the prefix of an old build.
OLD_BUILD_S = 60
# Entries of a position that are no topic offsets, so that no range of rows corresponds to them.
NOT_OFFSETS = (REMOVALS, FILE_COMMITS)


class StatisticsBuilds:
    """The builds of one pipeline's statistics in one Redis."""

    def __init__(self, client: Redis, pipeline: str, *, chunk_words: int, top_words: int) -> None:
        self._client = client
        self._pipeline = pipeline
        self._limits = {"chunk_words": chunk_words, "top_words": top_words}

    def live(self) -> Statistics | None:
        """The build that readers use, if there is one."""
        prefix = cast("bytes | None", self._client.get(live_key(self._pipeline)))
        return None if prefix is None else self._statistics(prefix.decode())

    def of(self, generation: str) -> Statistics | None:
        """The build of a generation, live or not, if there is one."""
        prefix = cast("bytes | None", self._client.hget(generations_key(self._pipeline), generation))
        return None if prefix is None else self._statistics(prefix.decode())

    def catch_up(self, generation: Generation, position: Position, *, live: bool = True) -> Statistics:
        """Bring the statistics of a generation to the position of its documents table.

        Args:
            generation: The generation.
            position: Position of its documents.
            live: Whether readers shall use these statistics; not while a replay fills the generation.

        Returns:
            The statistics, at `position`.

        Raises:
            CorruptStatisticsError: Redis holds something that wetstream has not written.
            RedisError: Redis is away.
        """
        statistics = self.of(generation.name)
        if statistics is None:
            why = "Redis holds no statistics of this generation"
        else:
            why = _heal(statistics, generation.documents, position)
        if statistics is None or why:
            if not generation.documents.is_empty:
                log.warning("%s: counting all documents again", why)
            return self.rebuild(generation, position, live=live)
        statistics.rerank()
        if live:
            self.publish(statistics)
        return statistics

    def rebuild(self, generation: Generation, position: Position, *, live: bool = True) -> Statistics:
        """Count all documents into a new build, then replace the old one by it."""
        number = self._client.incr(build_number_key(self._pipeline))
        statistics = self._statistics(build_prefix(self._pipeline, generation.name, number))
        self._client.sadd(builds_key(self._pipeline), statistics.keys.prefix)
        sums = derive(generation.documents.scan())
        crash_point("during-rebuild")
        if position:
            statistics.commit(sums, EMPTY_POSITION, position)
        self._client.hset(statistics.keys.as_of, "profile", generation.documents.properties.get("profile", ""))
        self._client.hset(generations_key(self._pipeline), generation.name, statistics.keys.prefix)
        if live:
            self.publish(statistics)
        else:
            self.expire_unused()
        return statistics

    def publish(self, statistics: Statistics) -> None:
        """Make readers use these statistics."""
        if self._client.get(live_key(self._pipeline)) != statistics.keys.prefix.encode():
            self._client.set(live_key(self._pipeline), statistics.keys.prefix)
            self.expire_unused()

    def forget(self, generation: str) -> None:
        """Drop the statistics of a generation that was deleted."""
        self._client.hdel(generations_key(self._pipeline), generation)
        self.expire_unused()

    def expire_unused(self) -> None:
        """Let every build expire that belongs to no generation, including those that a crash left unfinished."""
        held = cast("dict[bytes, bytes]", self._client.hgetall(generations_key(self._pipeline)))
        used = {*held.values(), self._client.get(live_key(self._pipeline))}
        for prefix in cast("set[bytes]", self._client.smembers(builds_key(self._pipeline))):
            if prefix not in used:
                for key in Keys(prefix.decode()).all():
                    self._client.expire(key, OLD_BUILD_S)
                self._client.srem(builds_key(self._pipeline), prefix)

    def _statistics(self, prefix: str) -> Statistics:
        return Statistics(self._client, Keys(prefix), **self._limits)


def _heal(statistics: Statistics, documents: Documents, position: Position) -> str:
    """Add what is missing up to `position`; return the reason if that is impossible, else ""."""
    here = statistics.position()
    half = statistics.half_applied()
    if half is not None:
        # It must be completed as it was before anything else can be added.
        if not _is_behind(half, position) or not _is_behind(here, half):
            return "Redis holds part of a micro-batch that is not in the documents table"
        log.warning("completing a micro-batch that was half applied")
        _add(statistics, documents, here, half)
        here = half
    if here == dict(position):
        return ""
    if not here:
        return "Redis has counted nothing yet"
    if not _is_behind(here, position):
        return (
            "Redis does not match the documents table (it has not counted a removal or sources from files, or the "
            "table was restored from an older backup)"
        )
    log.warning("Redis is behind the documents table: adding the missing documents")
    _add(statistics, documents, here, position)
    return ""


def _add(statistics: Statistics, documents: Documents, start: Position, finish: Position) -> None:
    ranges = [
        Range(int(name.rpartition("/")[2]), start.get(name, 0), end)
        for name, end in finish.items()
        if name not in NOT_OFFSETS and end > start.get(name, 0)
    ]
    crash_point("during-heal")
    statistics.commit(derive(documents.scan(ranges)), start, finish)


def _is_behind(here: Mapping[str, int], there: Mapping[str, int]) -> bool:
    """Whether adding rows leads from `here` to `there`: no offset is beyond it, removals and files are the same."""
    if any(here.get(name, 0) != there.get(name, 0) for name in NOT_OFFSETS):
        return False
    return all(value <= there.get(name, 0) for name, value in here.items())
