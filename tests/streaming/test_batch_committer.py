"""A micro-batch is committed once, up to where Spark's offsets end, and refused if it does not follow the last one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from conf.settings import load_settings
from producers.topic.topics import Topic
from sinks.documents.compaction import Join, join_files, plan_joins
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
from streaming.tasks.compaction import BackgroundCompaction
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


class Joining(BackgroundCompaction):
    """Joins at once what Spark's tasks would join beside the stream, and hands it over when it is `held` no more."""

    def __init__(self) -> None:
        self.joins: list[Join] = []
        self.held = False
        self.started = 0

    def start(self, documents: Documents) -> None:
        self.started += 1
        runs = plan_joins(documents, 1 << 20)
        self.joins += [join_files(documents.location, run, compression_level=1) for run in runs]

    def take(self) -> list[Join]:
        if self.held:
            return []
        taken, self.joins = self.joins, []
        return taken


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
        self.joining = Joining()
        self.committer = BatchCommitter(
            settings, TOPIC, documents, position, self.statistics, self.joining, check, self.observer
        )

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


def commit_five(committing: Committing) -> None:
    for number in range(5):
        committing.committer.process(committing.partials(0, range(number, number + 1)), number, {0: number + 1})


def paths(documents: Documents) -> set[str]:
    return {file["path"] for file in Documents.open(documents.location).files()}


def test_joins_start_every_so_many_commits_and_are_committed_with_the_next(documents: Documents) -> None:
    committing = Committing(documents, compact_every=2)
    commit_five(committing)
    assert committing.committer.finish() is None
    assert committing.joining.started == 2
    assert committing.observer.joined == [1, 2, 3, 4]  # begun, committed, begun, committed
    now = Documents.open(documents.location)
    assert (len(now.files()), now.row_count(), now.position()) == (2, 5, {"id/0": 5})


def test_joins_that_are_written_late_are_committed_at_the_end(documents: Documents) -> None:
    committing = Committing(documents, compact_every=5)
    committing.joining.held = True
    commit_five(committing)
    assert len(paths(documents)) == 5
    committing.joining.held = False
    assert committing.committer.finish() is None
    assert len(paths(documents)) == 1 and Documents.open(documents.location).row_count() == 5


def test_after_a_failure_no_join_is_committed(documents: Documents) -> None:
    committing = Committing(documents, compact_every=5)
    commit_five(committing)
    assert committing.committer.finish(with_joins=False) is None
    assert len(paths(documents)) == 5


def test_a_join_of_a_file_that_was_replaced_meanwhile_is_dropped(documents: Documents) -> None:
    """Else the rows of that file would be in the table twice, or removed ones in it again."""
    committing = Committing(documents, compact_every=4)
    committing.joining.held = True
    commit_five(committing)
    (written,) = committing.joining.joins
    again = join_files(
        documents.location,
        [file for file in documents.files() if file["path"] == written.paths[1]],
        compression_level=1,
    )
    documents.replace(again.paths, [again.file])
    before = paths(documents)
    committing.joining.held = False
    committing.committer.process(committing.partials(0, range(5, 6)), 5, {0: 6})
    assert committing.committer.finish() is None
    assert before < paths(documents) and written.file.path not in paths(documents)
    assert Documents.open(documents.location).row_count() == 6


def test_a_join_of_a_fenced_writer_is_refused(documents: Documents) -> None:
    committing = Committing(documents, compact_every=5)
    committing.joining.held = True
    commit_five(committing)
    rival = Committing(Documents.open(documents.location))
    rival.committer.process(rival.partials(0, range(5, 6)), 0, {0: 6})
    before = paths(documents)
    committing.joining.held = False
    assert isinstance(committing.committer.finish(), FencedError)
    assert paths(documents) == before


def test_a_join_is_not_committed_by_a_writer_that_may_not_write_any_more(documents: Documents) -> None:
    allowed = [True]

    def check() -> None:
        if not allowed[0]:
            raise OSError("the lease is lost")

    committing = Committing(documents, check, compact_every=5)
    commit_five(committing)
    allowed[0] = False
    assert isinstance(committing.committer.finish(), OSError)
    assert len(paths(documents)) == 5


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
