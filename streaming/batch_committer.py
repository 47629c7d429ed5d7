"""Commits a micro-batch: first to the documents table, then to the statistics."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping

import pyarrow as pa

from conf.crash_points import crash_point
from conf.settings import DocumentsSettings
from producers.topic.topics import Topic
from sinks.documents.compaction import commit_joins
from sinks.documents.log import partition_key
from sinks.documents.table import Documents
from sinks.observations import BatchMetrics, Observer
from streaming.statistics_committer import CommitMetrics, StatisticsCommitter
from streaming.tasks.compaction import BackgroundCompaction
from streaming.tasks.partials import InconsistentPartialsError, MicroBatch, read_partials

log = logging.getLogger("wetstream")


class BatchCommitter:
    """Commits the micro-batches of one query, in order, starting at `position`, which is that of `documents`.

    `check` is called before each commit to the table and raises if this writer may not write any more.
    """

    def __init__(
        self,
        settings: DocumentsSettings,
        topic: Topic,
        documents: Documents,
        position: Mapping[str, int],
        statistics: StatisticsCommitter,
        compaction: BackgroundCompaction,
        check: Callable[[], None],
        observer: Observer | None,
    ) -> None:
        self._settings = settings
        self._topic = topic
        self._documents = documents
        self._position = dict(position)
        self._statistics = statistics
        self._compaction = compaction
        self._check = check
        self._observer = observer
        self.commits = 0

    def process(self, partials: pa.Table, number: int, ends: Mapping[int, int]) -> None:
        """Commit one micro-batch.

        Args:
            partials: The partial rows of all tasks.
            number: Spark's number of the micro-batch.
            ends: Where Spark's offsets of it end, by partition. They lie behind the transaction markers that follow
                its last records, and so does the position that is committed: retention that deletes what is processed
                never passes it.

        Raises:
            InconsistentPartialsError: The rows do not fit together, or to the position.
            FencedError: Another writer has committed.
        """
        batch = read_partials(partials)
        finish = self._finish(batch, ends)
        moved = {name: end for name, end in finish.items() if end != self._position.get(name, 0)}
        if not moved:
            return
        crash_point("after-all-tasks")
        self._check()
        began = time.monotonic()
        self._documents.commit(batch.files, moved, {source for source, _ in batch.counts.sources})
        table_s = time.monotonic() - began
        self._position = finish
        self.commits += 1
        for source, n in batch.unjoined.items():
            log.warning(
                "%s: %d records do not follow the one before them in the topic. They are doubled, or others before "
                "them are missing, or a repair has sent them again: `wetstream verify` says which",
                source,
                n,
            )
        self._statistics.submit(batch, finish, lambda metrics: self._observe(number, batch, table_s, metrics))
        self._compact(number)

    @property
    def failed(self) -> bool:
        """Whether a commit to Redis has failed."""
        return self._statistics.failed

    def finish(self, *, with_joins: bool = True) -> Exception | None:
        """Wait until the statistics are complete; return the error that prevented it. Call when the query has ended.

        Args:
            with_joins: Commit files that compaction has joined; not after a failure, when the table may have been
                read anew with the commits of another writer.
        """
        try:
            if with_joins:
                self._commit_joins()
            self._statistics.flush()
        except Exception as error:
            return error
        finally:
            self._statistics.close()
        return None

    def _finish(self, batch: MicroBatch, ends: Mapping[int, int]) -> dict[str, int]:
        """The position behind a micro-batch, each of whose offsets must lie between the last one and `ends`."""
        finish = dict(self._position)
        for part in sorted(batch.ranges, key=lambda part: (part.partition, part.first)):
            name = partition_key(self._topic.id, part.partition)
            if part.first < finish.get(name, 0):
                raise InconsistentPartialsError(f"offset {part.first} of partition {part.partition} is counted already")
            if part.end > ends.get(part.partition, 0):
                raise InconsistentPartialsError(
                    f"offset {part.end - 1} of partition {part.partition} is not part of this micro-batch"
                )
            finish[name] = part.end
        for partition, end in ends.items():
            name = partition_key(self._topic.id, partition)
            finish[name] = max(end, finish.get(name, 0))
        return {name: end for name, end in finish.items() if end}

    def _observe(self, number: int, batch: MicroBatch, table_s: float, metrics: CommitMetrics) -> None:
        if self._observer is None:
            return
        totals = batch.counts.totals()
        self._observer.committed(
            number,
            BatchMetrics(
                rows=sum(part.rows for part in batch.ranges),
                documents=totals["documents"],
                payload_bytes=totals["payload_bytes"],
                words=metrics.words,
                files=len(batch.files),
                file_bytes=sum(file.size for file in batch.files),
                table_s=table_s,
                redis_s=metrics.seconds / metrics.batches,
            ),
        )

    def _compact(self, number: int) -> None:
        """Commit the files that were joined while micro-batches ran, and start to join more when it is time."""
        began = time.monotonic()
        joined = self._commit_joins()
        if self.commits % self._settings.compact_every == 0:
            self._compaction.start(self._documents)
        elif not joined:
            return
        if self._observer is not None:
            self._observer.compacted(number, time.monotonic() - began)

    def _commit_joins(self) -> bool:
        joins = self._compaction.take()
        if not joins:
            return False
        self._check()
        done = commit_joins(self._documents, joins)
        log.info("joined %d small files of the documents table into %d", done.files_before, done.files_after)
        return True
