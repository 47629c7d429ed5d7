"""Errors of the statistics in Redis."""

from __future__ import annotations

from conf.errors import ExplainedError


class StatisticsError(ExplainedError):
    """The statistics in Redis cannot be used as they are; the message says why and what to do."""


class NotInStepError(StatisticsError):
    """Redis is not at the start of this micro-batch; it has to catch up with the documents table first."""


class MemoryFullError(StatisticsError):
    """Redis has no room for the next words. Nothing is lost: they are in the documents table."""

    def __init__(self, state: str) -> None:
        """Describe the memory of Redis, as the predicate of a sentence about it."""
        super().__init__(
            f"Redis {state}, which leaves no room for more words: raise maxmemory (and redis.max_memory_mb, if it is "
            "set), or use a larger server. Nothing is lost; the documents table has everything"
        )


class EvictionPolicyError(StatisticsError):
    """Redis would throw counts out to make room."""

    def __init__(self, policy: str) -> None:
        """Name the policy, and the remedy."""
        super().__init__(
            f"Redis has maxmemory-policy {policy}, so it throws out keys to make room, and counts would be lost: set "
            "it to noeviction (CONFIG SET maxmemory-policy noeviction, and in redis.conf)"
        )


class OtherDocumentsError(StatisticsError):
    """Redis holds the statistics of other documents under this pipeline's name."""

    def __init__(self, pipeline: str, counted: str, counted_id: str, wanted: str) -> None:
        """Name both documents, and the remedy.

        Args:
            pipeline: Name of the pipeline.
            counted: Folder of the documents that were counted.
            counted_id: Their pipeline id.
            wanted: Folder of the documents that were to be counted.
        """
        super().__init__(
            f"Redis holds the statistics of other documents for pipeline {pipeline}, those of {counted}, not of "
            f"{wanted}: correct home or documents.path (or redis.url), use another --pipeline, or replace these "
            f"statistics with --set redis.replace_statistics={counted_id}"
        )


class CorruptStatisticsError(StatisticsError):
    """A Redis key holds something that wetstream does not write there."""

    def __init__(self, key: str, problem: str) -> None:
        """Describe the problem of one key, and the remedy.

        Args:
            key: The Redis key.
            problem: What is wrong, as the predicate of a sentence about the key ("is a string, not a hash").
        """
        super().__init__(
            f"Redis key {key} {problem}: run `wetstream rebuild` to count the statistics again from the documents, and "
            "give wetstream a database of its own (redis.url) if something else writes to this one"
        )
        self.key = key
        self.problem = problem
