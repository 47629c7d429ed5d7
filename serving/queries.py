"""Live statistics: one set of questions, asked by the command line, by HTTP and from Python alike.

Thresholds (minimum document frequency, maximum share of the documents) are views: what is stored is unpruned, and any
threshold is answered exactly, at once. Every answer is a dict of plain values and carries `as_of`: see `as_of`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from redis import Redis

from serving.aggregates import SEEN, Aggregates, parse_aggregates, queue_aggregates, read
from serving.as_of import AsOf
from serving.atomic_read import NoStatisticsError, read_atomically
from serving.document_queries import DocumentQueries, as_of_table
from serving.history import parse_batches, parse_growth
from serving.top_words import By, read_top_words
from serving.view import EVERYTHING, View
from serving.vocabulary_snapshot import VocabularySnapshot, read_vocabulary_snapshot
from serving.word_lookup import look_up_words
from sinks.keys import Keys, batches_key, growth_key

__all__ = ["EVERYTHING", "SEEN", "Aggregates", "LiveStatistics", "NoStatisticsError", "View", "VocabularySnapshot"]


class LiveStatistics:
    """Questions to the live statistics of a pipeline.

    Each asks Redis anew; `reading` and `snapshot` give objects that answer many questions about one instant. All raise
    NoStatisticsError when nothing is counted yet, and redis.RedisError when Redis is away.
    """

    def __init__(self, client: Redis, pipeline: str, table: DocumentQueries | None = None) -> None:
        self._client = client
        self._pipeline = pipeline
        self._table = table

    def reading(self) -> Aggregates:
        """Everything but the words, at one instant."""
        return read(self._client, self._pipeline)

    def snapshot(self) -> VocabularySnapshot:
        """A copy of the whole vocabulary: prefix search, rarest words, rank-frequency curve, rank of any word.

        Takes about a second for a million words. Its own `as_of` tells of which moment it is.
        """
        return read_vocabulary_snapshot(self._client, self._pipeline)

    def stats(self, view: View = EVERYTHING) -> dict[str, Any]:
        """Totals, rejected records by reason, exact percentiles of document lengths; words and tokens under `view`.

        `length` is of all kept documents before thresholds. Percentile p is `sorted[int(p / 100 * n)]`.
        """
        return self.reading().stats(view)

    def vocabulary(self, view: View = EVERYTHING) -> dict[str, Any]:
        """Words and tokens under `view`: {words, tokens, of_words, of_tokens, documents}."""
        return self.reading().vocabulary(view)

    def lengths(self) -> dict[str, Any]:
        """Exact percentiles and a histogram of document lengths in tokens: {length, bins: [{from, to, documents}]}."""
        return self.reading().length_histogram()

    def rejected(self) -> dict[str, Any]:
        """Rejected records: {rejected, reasons: [{reason, records}]}."""
        return self.reading().rejected()

    def sources(self) -> dict[str, Any]:
        """What is counted of each source: {sources: [{source, records, documents, tokens, payload_bytes, rejected}]}.

        `rejected` is {reason: records}.
        """
        reading = self.reading()
        return {"sources": reading.sources, "as_of": reading.as_of.answer}

    def seen(self, what: str) -> dict[str, Any]:
        """Pages and kept documents by `languages`, `tlds` or `days`, most pages first: {<what>: [{name, pages,
        documents}]}.
        """
        reading = self.reading()
        return {what: reading.seen(what), "as_of": reading.as_of.answer}

    def top(self, limit: int = 20, view: View = EVERYTHING, *, by: By = "tf", offset: int = 0) -> dict[str, Any]:
        """The most frequent words: {words: [{word, tf, df}]}, by tf (or df) descending, then by word.

        Raises ValueError when more words are asked for than are kept ranked (setting redis.top_words).
        """
        return read_top_words(self._client, self._pipeline).top(limit, view, by=by, offset=offset)

    def words(self, wanted: Sequence[str]) -> dict[str, Any]:
        """Several words at one instant: {words: [{word, tf, df, idf, rank}], documents}; zeros for unseen ones."""
        return look_up_words(self._client, self._pipeline, wanted)

    def word(self, word: str) -> dict[str, Any]:
        """One word: {word, tf, df, idf, rank}. idf is ln(documents / df); rank is None when it is not kept ranked."""
        answer = self.words([word])
        return {**answer["words"][0], "as_of": answer["as_of"]}

    def batches(self, limit: int = 20) -> dict[str, Any]:
        """The last micro-batches, newest first: {batches: [{rows, seconds by phase, words, files, …}]}."""
        key = batches_key(self._pipeline)
        _, as_of, (entries,) = self._ask(lambda pipe, keys: pipe.lrange(key, 0, limit - 1))
        return {"batches": parse_batches(entries), "as_of": as_of.answer}

    def growth(self) -> dict[str, Any]:
        """Observations of the vocabulary's growth (Heaps' curve): {points: [{time, tokens, words, documents}]}."""

        def ask(pipe: Any, keys: Keys) -> None:
            pipe.lrange(growth_key(self._pipeline), 0, -1)
            queue_aggregates(pipe, keys)

        keys, as_of, (entries, *replies) = self._ask(ask)
        return {"points": parse_growth(entries, parse_aggregates(keys, as_of, replies).totals), "as_of": as_of.answer}

    def hosts(self, limit: int = 20, offset: int = 0, contains: str = "") -> dict[str, Any]:
        """Hosts with the most pages, from the documents table: {hosts: [{host, pages, documents, tokens}],
        table_version}. Reads the table, so it takes long on a large one.
        """
        return as_of_table(self._tabled().hosts(limit, offset, contains), self._state())

    def urls(self, of: str, limit: int = 20, offset: int = 0) -> dict[str, Any]:
        """Pages of a host, or of exactly one URL, from the documents table: {urls: [{url, source, record_offset, date,
        language, reason, tokens}], table_version}; `reason` None: kept.
        """
        return as_of_table(self._tabled().urls(of, limit, offset), self._state())

    def as_of(self) -> dict[str, Any]:
        """State of the numbers: `time` of the last commit (Unix seconds), `positions` by topic partition, whether a
        stream runs (`streaming`), its `lag` in offsets (None when none runs), and whether words of an unfinished
        micro-batch run ahead of the totals (`applying`).
        """
        return self._state().answer

    def _state(self) -> AsOf:
        return self._ask(lambda pipe, keys: None)[1]

    def _tabled(self) -> DocumentQueries:
        if self._table is None:
            raise ValueError("no documents table is given: LiveStatistics(client, pipeline, DocumentQueries(…))")
        return self._table

    def _ask(self, ask: Callable[[Any, Keys], object]) -> tuple[Keys, AsOf, list[Any]]:
        return read_atomically(self._client, self._pipeline, ask)
