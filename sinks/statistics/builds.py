"""Builds of the statistics in Redis, which follow the documents table whatever happened to Redis.

If Redis is behind (an old snapshot, a lost tail, a crash between the two commits), the missing range is read from the
table and added. If it is empty, ahead, or has not counted a removal or a commit from files, all documents are counted
into a new build, and readers switch to it when it is complete. Statistics that belong to other documents are never
replaced, unless the setting `redis.replace_statistics` names them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import cast

from redis import Redis
from redis.exceptions import ResponseError

from conf.crash_points import crash_point
from conf.settings import Settings
from sinks.documents.generations import Generation, Generations
from sinks.documents.log import FILE_COMMITS, LOST, REMOVALS
from sinks.documents.table import Documents, Range
from sinks.keys import Keys, build_number_key, build_prefix, builds_key, generations_key, live_key
from sinks.position import EMPTY_POSITION, Position
from sinks.redis_clients.shards import client_of
from sinks.statistics.derive import derive
from sinks.statistics.errors import CorruptStatisticsError, MemoryFullError, OtherDocumentsError
from sinks.statistics.memory import MemoryGuard, Wait, fail
from sinks.statistics.owner import Owner
from sinks.statistics.store import Statistics
from sinks.statistics.stored import check_types, parse_prefix
from sinks.statistics.sums import Sums

log = logging.getLogger("wetstream")

# For readers that have just read the prefix of an old build.
OLD_BUILD_S = 60
# Entries of a position that are no topic offsets, so that no range of rows corresponds to them.
NOT_OFFSETS = (REMOVALS, FILE_COMMITS)

Count = Callable[[Documents], Sums]


def count_here(documents: Documents) -> Sums:
    """Count all documents in this process."""
    return derive(documents.scan())


def open_builds(settings: Settings, client: Redis, wait: Wait = fail, count: Count = count_here) -> StatisticsBuilds:
    """The builds of the pipeline that the settings name.

    Args:
        settings: All settings.
        client: Redis.
        wait: Called when Redis has no room for more words; returns to have another try, or raises.
        count: Adds up all documents of a table, for a rebuild.
    """
    limits = settings.redis
    return StatisticsBuilds(
        client,
        settings.pipeline,
        chunk_words=limits.chunk_words,
        top_words=limits.top_words,
        word_shards=limits.word_shards,
        replace=limits.replace_statistics,
        guard=MemoryGuard(limits.max_memory_mb << 20, wait),
        count=count,
    )


class StatisticsBuilds:
    """The builds of one pipeline's statistics in one Redis.

    `replace`: id of another pipeline's documents, whose statistics may be replaced. `count`: adds up all documents of a
    table, for a rebuild.
    """

    def __init__(
        self,
        client: Redis,
        pipeline: str,
        *,
        chunk_words: int,
        top_words: int,
        word_shards: int = 1,
        replace: str = "",
        guard: MemoryGuard | None = None,
        count: Count = count_here,
    ) -> None:
        self._client = client
        self._pipeline = pipeline
        self._count = count
        self._limits = {"chunk_words": chunk_words, "top_words": top_words}
        self._word_shards = word_shards
        self._replace = replace
        self._guard = guard or MemoryGuard()

    def live(self) -> Statistics | None:
        """The build that readers use, if there is one."""
        key = live_key(self._pipeline)
        return self._parse_build(key, cast("bytes | None", self._client.get(key)))

    def of(self, generation: str) -> Statistics | None:
        """The build of a generation, live or not, if there is one."""
        key = generations_key(self._pipeline)
        return self._parse_build(key, cast("bytes | None", self._client.hget(key, generation)))

    def check_owner(self, generations: Generations) -> None:
        """Check that Redis does not hold the statistics of other documents; to be called before any are created.

        Raises:
            OtherDocumentsError: It does.
            CorruptStatisticsError: Redis holds something that wetstream has not written.
        """
        self._check_owner(generations.pipeline_id(), str(generations.location))

    def catch_up(self, generation: Generation, position: Position, *, live: bool = True) -> Statistics:
        """Bring the statistics of a generation to the position of its documents table.

        Args:
            generation: The generation.
            position: Position of its documents.
            live: Whether readers shall use these statistics; not while a replay fills the generation.

        Returns:
            The statistics, at `position`.

        Raises:
            OtherDocumentsError: Redis holds the statistics of other documents.
            CorruptStatisticsError: Redis holds something that wetstream has not written.
            RedisError: Redis is away.
        """
        documents, owner = generation.documents, Owner.of(generation.documents)
        self._check_owner(owner.pipeline_id, owner.path)
        statistics = self.of(generation.name)
        if statistics is None:
            why = "Redis holds no statistics of this generation"
        else:
            statistics.check_types()
            found = Owner.read(self._client, statistics.keys)
            if found is None or not found.has_same_documents(owner):
                why = "Redis holds statistics of another documents table, or of other rules, for this generation"
            else:
                why = _heal(statistics, documents, position)
        if statistics is None or why:
            if not documents.is_empty:
                log.warning("%s: counting all documents again", why)
            return self.rebuild(generation, position, live=live)
        owner.write(self._client, statistics.keys)  # the folder may have been moved
        statistics.rerank()
        if live:
            self.publish(statistics)
        return statistics

    def rebuild(self, generation: Generation, position: Position, *, live: bool = True) -> Statistics:
        """Count all documents into a new build, then replace the old one by it.

        Malformed keys, which make `catch_up` fail, are replaced, too.

        Raises:
            OtherDocumentsError: Redis holds the statistics of other documents.
            MemoryFullError: Redis has no room for both builds.
            RedisError: Redis is away.
        """
        documents, owner = generation.documents, Owner.of(generation.documents)
        self._delete_malformed()
        try:
            self._check_owner(owner.pipeline_id, owner.path)
        except CorruptStatisticsError as error:
            log.warning("replacing statistics that cannot be read: %s", error)
        statistics = self._new_build(generation.name)
        self._client.sadd(builds_key(self._pipeline), statistics.keys.prefix)
        owner.write(self._client, statistics.keys)
        sums = self._count(documents)
        crash_point("during-rebuild")
        if position:
            try:
                statistics.commit(sums, EMPTY_POSITION, position)
            except MemoryFullError:
                self.expire_unused()  # of which this is one
                raise
        self._client.hset(statistics.keys.as_of, "profile", documents.properties.get("profile", ""))
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
            self._forget_others(statistics)
            self.expire_unused()

    def forget(self, generation: str) -> None:
        """Drop the statistics of a generation that was deleted."""
        self._client.hdel(generations_key(self._pipeline), generation)
        self.expire_unused()

    def expire_unused(self) -> None:
        """Let every build expire that belongs to no generation, including those that a crash left unfinished."""
        held = cast("dict[bytes, bytes]", self._client.hgetall(generations_key(self._pipeline)))
        used = {*held.values(), self._client.get(live_key(self._pipeline))}
        key = builds_key(self._pipeline)
        for member in cast("set[bytes]", self._client.smembers(key)):
            if member not in used:
                unused = Keys(parse_prefix(self._pipeline, key, member))
                for keys in (unused, *unused.shards):
                    for name in keys.all():
                        client_of(self._client, keys).expire(name, OLD_BUILD_S)
                self._client.srem(key, member)

    def delete_shards(self) -> None:
        """Delete the shards of every build; their keys are not below the pipeline's prefix, or on another server."""
        key = builds_key(self._pipeline)
        for member in cast("set[bytes]", self._client.smembers(key)):
            for shard in Keys(parse_prefix(self._pipeline, key, member)).shards:
                for name in shard.all():
                    client_of(self._client, shard).unlink(name)

    def _check_owner(self, pipeline_id: str | None, path: str) -> None:
        """Compare the owner of the live build, or else of another one, with a pipeline id (None for no documents)."""
        check_types(self._client, self._key_types())
        builds = [build for build in (self.live(), *self._builds()) if build is not None]
        for build in builds:
            if not self._client.exists(*build.keys.all()):
                continue  # lost, or expired
            check_types(self._client, {build.keys.as_of: "hash"})
            found = Owner.read(self._client, build.keys)
            if found is None:
                raise CorruptStatisticsError(build.keys.as_of, "does not say which documents it was counted from")
            if found.pipeline_id not in (pipeline_id, self._replace):
                raise OtherDocumentsError(self._pipeline, found.path, found.pipeline_id, path)
            return

    def _builds(self) -> list[Statistics | None]:
        """The builds of all generations."""
        key = generations_key(self._pipeline)
        held = cast("dict[bytes, bytes]", self._client.hgetall(key))
        return [self._parse_build(key, value) for value in held.values()]

    def _forget_others(self, statistics: Statistics) -> None:
        """Forget the generations of other documents, whose statistics these have replaced."""
        key, mine = generations_key(self._pipeline), Owner.read(self._client, statistics.keys)
        for name, value in cast("dict[bytes, bytes]", self._client.hgetall(key)).items():
            owner = Owner.read(self._client, Keys(value.decode(errors="replace")))
            if mine is not None and (owner is None or owner.pipeline_id != mine.pipeline_id):
                self._client.hdel(key, name)

    def _new_build(self, generation: str) -> Statistics:
        """A build whose keys are not in use."""
        while True:
            try:
                number = self._client.incr(build_number_key(self._pipeline))
            except ResponseError as error:
                if "integer" not in str(error) and "overflow" not in str(error):
                    raise  # deleting the key would not help, and this would go on for ever
                self._client.delete(build_number_key(self._pipeline))  # the numbers in use are skipped
                continue
            statistics = self._statistics(build_prefix(self._pipeline, generation, number, self._word_shards))
            parts = (statistics.keys, *statistics.keys.shards)
            if not any(client_of(self._client, keys).exists(*keys.all()) for keys in parts):
                return statistics

    def _delete_malformed(self) -> None:
        """Delete the keys that list the builds, where they are of another type or name no build."""
        for key, wanted in self._key_types().items():
            try:
                check_types(self._client, {key: wanted})
                if wanted == "string":
                    self.live()
                elif wanted == "hash":
                    self._builds()
                else:
                    members = cast("set[bytes]", self._client.smembers(key))
                    _ = [parse_prefix(self._pipeline, key, member) for member in members]
            except CorruptStatisticsError as error:
                log.warning("replacing a key that cannot be read: %s", error)
                self._client.delete(key)

    def _key_types(self) -> dict[str, str]:
        name = self._pipeline
        return {live_key(name): "string", generations_key(name): "hash", builds_key(name): "set"}

    def _parse_build(self, key: str, value: bytes | None) -> Statistics | None:
        return None if value is None else self._statistics(parse_prefix(self._pipeline, key, value))

    def _statistics(self, prefix: str) -> Statistics:
        return Statistics(self._client, Keys(prefix), **self._limits, guard=self._guard)


def _heal(statistics: Statistics, documents: Documents, position: Position) -> str:
    """Add what is missing up to `position`; return the reason if that is impossible, else ""."""
    here = statistics.position()
    half = statistics.half_applied()
    if statistics.out_of_step():
        return "a shard of the words in Redis has other micro-batches than the rest (it was lost, or is behind)"
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
        if name not in (*NOT_OFFSETS, LOST) and end > start.get(name, 0)
    ]
    crash_point("during-heal")
    statistics.commit(derive(documents.scan(ranges)), start, finish)


def _is_behind(here: Mapping[str, int], there: Mapping[str, int]) -> bool:
    """Whether adding rows leads from `here` to `there`: no offset is beyond it, removals and files are the same."""
    if any(here.get(name, 0) != there.get(name, 0) for name in NOT_OFFSETS):
        return False
    return all(value <= there.get(name, 0) for name, value in here.items())
