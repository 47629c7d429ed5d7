"""A micro-batch is committed once, up to where Spark's offsets end, and refused if it does not follow the last one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from conf.settings import load_settings
from producers.topic.topics import Topic
from sinks.documents.compaction import compact
from sinks.documents.errors import FencedError
from sinks.documents.files import write_document_file
from sinks.documents.schema import DOCUMENTS
from sinks.documents.table import Documents
from sinks.observations import BatchMetrics, Observer
from sinks.position import Position
from sinks.statistics.derive import derive
from sinks.statistics.sums import Sums
from sinks.storage.folder import Folder
from streaming.batch_committer import BatchCommitter
from streaming.statistics_committer import CommitMetrics, StatisticsCommitter
from streaming.tasks.partials import SCHEMA, InconsistentPartialsError, OffsetRange, partial_rows, read_partials
from tests.sinks.batches import row

TOPIC = Topic("records", "id", 2)


@pytest.fixture
def documents(tmp_path: Path) -> Documents:
    made = Documents.create(Folder(tmp_path / "g1"), {"profile": "p21"})
    made.bind_topic(TOPIC.name, TOPIC.id, TOPIC.partitions)
    return made


class Noting(Observer):
    """Notes the metrics that it is given instead of publishing them."""

    def __init__(self) -> None:
        self.batches: list[tuple[int, BatchMetrics]] = []
        self.joined: list[int] = []

    def committed(self, number: int, metrics: BatchMetrics) -> None:
        self.batches.append((number, metrics))

    def compacted(self, number: int, seconds: float) -> None:
        assert 0 <= seconds < 60
        self.joined.append(number)


class Committing:
    """A committer on a real table, whose commits to the statistics are noted."""

    def __init__(self, documents: Documents, check: Callable[[], None] = lambda: None, compact_every: int = 99) -> None:
        self.documents = documents
        self.counted: list[tuple[Position, Position, int]] = []
        self.observer = Noting()
        self.error: Exception | None = None
        settings = load_settings(flags={"documents.compact_every": compact_every}, environ={}).documents
        position = documents.position()
        self.statistics = StatisticsCommitter(self._count, position)
        self.committer = BatchCommitter(settings, TOPIC, documents, position, self.statistics, check, self.observer)

    def _count(self, sums: Sums, start: Position, finish: Position) -> None:
        if self.error is not None:
            raise self.error
        self.counted.append((dict(start), dict(finish), sums.totals()["records"]))

    def partials(self, partition: int, offsets: range) -> pa.Table:
        """What one task hands over that has read these offsets."""
        if not offsets:
            return pa.Table.from_batches([], schema=SCHEMA)
        rows = [row(n, {"alpha": 1}) | {"topic_partition": partition} for n in offsets]
        table = pa.Table.from_pylist(rows, schema=DOCUMENTS)
        file = write_document_file(self.documents.location, table, compression_level=1)
        sums = derive(table.to_batches())
        words = sums.words["word"].combine_chunks()
        ranges = [OffsetRange(partition, offsets.start, offsets.stop, len(offsets))]
        tf, df = sums.words["tf"].to_numpy(), sums.words["df"].to_numpy()
        return pa.Table.from_batches(partial_rows(words, tf, df, sums, ranges, file, "0", packed=False), schema=SCHEMA)


@pytest.fixture
def committing(documents: Documents) -> Committing:
    return Committing(documents)


def test_an_offset_that_is_counted_already_is_refused(committing: Committing, documents: Documents) -> None:
    committer = committing.committer
    committer.process(committing.partials(0, range(3)), 0, {0: 4})
    for offsets in (range(3), range(2, 6), range(3, 5)):
        with pytest.raises(InconsistentPartialsError, match="is counted already"):
            committer.process(committing.partials(0, offsets), 1, {0: 9})
    committer.process(committing.partials(0, range(4, 6)), 1, {0: 6})
    assert committer.finish() is None
    assert Documents.open(documents.location).row_count() == 5
    assert committing.counted[0][2] + sum(records for _, _, records in committing.counted[1:]) == 5


def test_an_offset_beyond_the_micro_batch_is_refused(committing: Committing, documents: Documents) -> None:
    with pytest.raises(InconsistentPartialsError, match="not part of this micro-batch"):
        committing.committer.process(committing.partials(0, range(3)), 0, {0: 2})
    assert Documents.open(documents.location).is_empty


def test_records_of_a_partition_without_an_end_are_refused(committing: Committing, documents: Documents) -> None:
    with pytest.raises(InconsistentPartialsError, match="offset 0 of partition 1 is not part of this micro-batch"):
        committing.committer.process(committing.partials(1, range(1)), 0, {0: 2})
    assert Documents.open(documents.location).is_empty


def test_ranges_of_a_micro_batch_may_come_in_any_order(committing: Committing, documents: Documents) -> None:
    parts = [committing.partials(p, offsets) for p, offsets in ((1, range(2, 4)), (0, range(1)), (1, range(2)))]
    committing.committer.process(pa.concat_tables(parts), 0, {0: 1, 1: 4})
    assert committing.committer.finish() is None
    assert Documents.open(documents.location).position() == {"id/0": 1, "id/1": 4}
    assert committing.counted == [({}, {"id/0": 1, "id/1": 4}, 5)]


def test_a_writer_that_may_not_write_any_more_commits_nothing(documents: Documents) -> None:
    """The lease may have gone to another writer while the tasks ran."""
    lost = OSError("the lease is lost")

    def check() -> None:
        raise lost

    committing = Committing(documents, check)
    with pytest.raises(OSError, match="the lease is lost"):
        committing.committer.process(committing.partials(0, range(3)), 0, {0: 3})
    assert Documents.open(documents.location).is_empty
    assert committing.committer.finish() is None and committing.counted == []


def test_metrics_of_each_micro_batch_are_observed(committing: Committing) -> None:
    committing.committer.process(committing.partials(0, range(3)), 7, {0: 4})
    assert committing.committer.finish() is None
    ((number, metrics),) = committing.observer.batches
    assert (number, metrics.rows, metrics.documents, metrics.words, metrics.files) == (7, 3, 3, 1, 1)
    (file,) = Documents.open(committing.documents.location).files()
    assert (metrics.payload_bytes, metrics.file_bytes) == (10 + 11 + 12, file["size_bytes"])
    assert 0 < metrics.table_s < 60 and 0 <= metrics.redis_s < 60
    assert committing.observer.joined == []


def test_a_commit_to_redis_of_several_micro_batches_is_shared_among_them(committing: Committing) -> None:
    batch = read_partials(committing.partials(0, range(1)))
    committing.committer._observe(3, batch, 1.0, CommitMetrics(words=5, seconds=6.0, batches=3))
    ((_, metrics),) = committing.observer.batches
    assert (metrics.words, metrics.table_s, metrics.redis_s) == (5, 1.0, 2.0)


def test_every_so_many_commits_small_files_are_joined(documents: Documents, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def join(documents: Documents, *, target_bytes: int, compression_level: int) -> Any:
        sizes.append(target_bytes)
        return compact(documents, target_bytes=target_bytes, compression_level=compression_level)

    monkeypatch.setattr("streaming.batch_committer.compact", join)
    committing = Committing(documents, compact_every=2)
    for number in range(5):
        committing.committer.process(committing.partials(0, range(number, number + 1)), number, {0: number + 1})
    assert committing.committer.finish() is None
    assert committing.observer.joined == [1, 3]
    assert sizes == [load_settings(environ={}).documents.target_file_mb * 1024 * 1024] * 2
    assert len(Documents.open(documents.location).files()) < 5


def test_an_error_of_the_statistics_is_returned_at_the_end_and_their_thread_ends(committing: Committing) -> None:
    committing.error = OSError("Redis is gone")
    committing.committer.process(committing.partials(0, range(1)), 0, {0: 1})
    assert committing.committer.finish() is committing.error
    assert committing.committer.failed
    with pytest.raises(RuntimeError, match="after shutdown"):
        committing.statistics._executor.submit(print)


def test_the_position_is_where_the_offsets_end_not_the_last_record(
    committing: Committing, documents: Documents
) -> None:
    committer = committing.committer
    committer.process(committing.partials(0, range(3)), 0, {0: 5, 1: 0})
    assert Documents.open(documents.location).position() == {"id/0": 5}
    # Only transaction markers: nothing is counted, but retention may delete them.
    committer.process(committing.partials(0, range(0)), 1, {0: 6, 1: 2})
    committer.process(committing.partials(0, range(0)), 2, {0: 6, 1: 2})
    assert committer.finish() is None and committer.commits == 2
    assert Documents.open(documents.location).position() == {"id/0": 6, "id/1": 2} == committing.counted[-1][1]


def test_the_commit_that_names_a_new_partition_makes_it_part_of_the_position(
    committing: Committing, documents: Documents
) -> None:
    """Else a rebuild would count its rows at a position without it, and the next start would count them again."""
    committing.committer.process(committing.partials(0, range(1)), 0, {0: 1, 1: 0, 2: 0})
    committing.committer.process(committing.partials(2, range(3)), 1, {0: 1, 1: 0, 2: 4})
    assert committing.committer.finish() is None
    assert Documents.open(documents.location).position() == {"id/0": 1, "id/2": 4} == committing.counted[-1][1]


def test_rival_is_fenced_even_when_neither_has_files(documents: Documents) -> None:
    first, second = Committing(documents), Committing(Documents.open(documents.location))
    first.committer.process(first.partials(0, range(0)), 0, {0: 2})
    with pytest.raises(FencedError, match="another writer"):
        second.committer.process(second.partials(0, range(0)), 0, {1: 2})
    assert Documents.open(documents.location).position() == {"id/0": 2}


def test_lost_offsets_are_skipped_and_counted(documents: Documents) -> None:
    documents.skip_lost({"id/0": (0, 7), "id/1": (0, 2)})
    documents.skip_lost({"id/0": (7, 10)})
    again = Documents.open(documents.location)
    assert again.position() == {"id/0": 10, "id/1": 2, "lost": 12}
    assert again.lost_offsets() == {"id/0": 10, "id/1": 2}
