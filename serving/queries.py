"""Live statistics for Python and the command line; the HTTP API gives the same answers.

Answers are the typed dictionaries of `serving.answers`. Every one carries `as_of`, the state of its numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redis import Redis

from serving.aggregates import (
    DIMENSIONS,
    Aggregates,
    parse_aggregates,
    queue_aggregates,
    read_aggregates,
)
from serving.answers.documents import Hosts, Urls
from serving.answers.shape import AsOf
from serving.answers.sources import Batches, Growth
from serving.answers.words import Top, Words
from serving.atomic_read import Answer, NoStatisticsError, Queue, read_atomically
from serving.document_queries import DocumentQueries
from serving.history import parse_batches, parse_growth
from serving.questions import Questions
from serving.top_words import NotRankedError, RankBy, read_top_words
from serving.view import EVERYTHING, View
from serving.vocabulary_snapshot import VocabularySnapshot, read_vocabulary_snapshot
from serving.word_lookup import look_up_words
from sinks.keys import Keys, batches_key, growth_key
from sinks.statistics.errors import CorruptStatisticsError

__all__ = [
    "DIMENSIONS",
    "EVERYTHING",
    "Aggregates",
    "CorruptStatisticsError",
    "LiveStatistics",
    "NoStatisticsError",
    "NotRankedError",
    "View",
    "VocabularySnapshot",
]


class LiveStatistics(Questions):
    """Live statistics of a pipeline.

    Every method reads Redis again; `aggregates` and `snapshot` return objects that answer many questions about one
    instant. All methods raise NoStatisticsError when nothing has been counted yet, CorruptStatisticsError when Redis
    holds something that wetstream did not write, and redis.RedisError when Redis does not answer.

    Args:
        client: Redis.
        pipeline: Name of the pipeline.
        documents: Queries of its documents table; `hosts` and `urls` need them.
    """

    def __init__(self, client: Redis, pipeline: str, documents: DocumentQueries | None = None) -> None:
        self._client = client
        self._pipeline = pipeline
        self._documents = documents

    def aggregates(self) -> Aggregates:
        """Read everything except the words, at one instant."""
        return read_aggregates(self._client, self._pipeline)

    def snapshot(self) -> VocabularySnapshot:
        """Copy the whole vocabulary, for prefix search, rarest words, the rank-frequency curve and any word's rank.

        Takes about a second for a million words. The snapshot has an `as_of` of its own.
        """
        return read_vocabulary_snapshot(self._client, self._pipeline)

    def top(self, limit: int = 20, view: View = EVERYTHING, *, by: RankBy = "tf", offset: int = 0) -> Top:
        """Return the most frequent words, by tf (or df) descending, then by word.

        Raises:
            NotRankedError: More words were requested than are kept ranked (setting redis.top_words).
        """
        return read_top_words(self._client, self._pipeline).top(limit, view, by=by, offset=offset)

    def words(self, words: Sequence[str]) -> Words:
        """Return tf, df, idf and rank of several words at one instant; zeros for unseen words."""
        return look_up_words(self._client, self._pipeline, words)

    def batches(self, limit: int = 20) -> Batches:
        """Return the last micro-batches, newest first, with their time by phase."""
        key = batches_key(self._pipeline)
        _, instant, (entries,) = self._read(lambda pipe, keys: pipe.lrange(key, 0, limit - 1))
        return {"batches": parse_batches(key, entries), "as_of": instant.as_of}

    def growth(self) -> Growth:
        """Return the growth of the vocabulary with the tokens (Heaps' curve)."""
        key = growth_key(self._pipeline)

        def queue(pipe: Any, keys: Keys) -> None:
            pipe.lrange(key, 0, -1)
            queue_aggregates(pipe, keys)

        keys, instant, (entries, *replies) = self._read(queue)
        totals = parse_aggregates(keys, instant, replies).totals
        return {"points": parse_growth(key, entries, totals), "as_of": instant.as_of}

    def hosts(self, limit: int = 20, offset: int = 0, contains: str = "") -> Hosts:
        """Return the hosts with the most pages, from the documents table."""
        return self._table().hosts(self.as_of(), limit, offset, contains)

    def urls(self, of: str, limit: int = 20, offset: int = 0) -> Urls:
        """Return the pages of a host, or of exactly one URL, kept or not, from the documents table."""
        return self._table().urls(self.as_of(), of, limit, offset)

    def as_of(self) -> AsOf:
        """Return the state of the numbers.

        That is the `time` of the last commit (Unix seconds), the `positions` by topic partition, whether a stream is
        running (`streaming`), its `lag` in offsets (None if none is), and whether words of an unfinished micro-batch
        run ahead of the totals (`applying`).
        """
        return self._read(lambda pipe, keys: None)[1].as_of

    def _table(self) -> DocumentQueries:
        if self._documents is None:
            raise ValueError("no documents table is given: LiveStatistics(client, pipeline, DocumentQueries(…))")
        return self._documents

    def _read(self, queue: Queue) -> Answer:
        return read_atomically(self._client, self._pipeline, queue)
