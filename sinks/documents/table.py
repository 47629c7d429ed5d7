"""The documents sink: a Delta table whose own log says how far the topic is processed.

A micro-batch is one commit: its files and its end positions together, as app transactions. It is made from the very
snapshot that the positions were read from. A second writer's commit is refused by the log (both carry the transaction
`commits`), which is the fence: two drivers can never count the same records twice.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.transaction import AddAction, RemoveAction

from conf.crash_points import crash_point
from conf.errors import ExplainedError
from sinks.documents.exclusions import FOR_EVER, Exclusion, from_json, to_json
from sinks.documents.files import DocumentFile
from sinks.documents.schema import DOCUMENTS, SCHEMA_VERSION

COMMITS = "wetstream/commits"  # number of commits by a writer: makes any two concurrent ones conflict
TOPIC_COMMITS = "wetstream/topic-commits"  # how many of them came from the topic
REMOVALS = "removals"
FILE_COMMITS = "files"  # how many commits came from WET files, without the topic
FROM_FILE = "wetstream/source/"  # + source: odd while the source is here from its file, even after its removal
EXCLUSIONS = "exclusions"
SCAN_ROWS = 1 << 14
FILE_BOUNDS = ("min.topic_partition", "max.topic_partition", "min.topic_offset", "max.topic_offset")
CHECKPOINT_INTERVAL = "100"


class DocumentsError(ExplainedError):
    """The documents table is not what it has to be; the message says what and the remedy."""


class FencedError(DocumentsError):
    """Another writer has committed since: this one must not go on from its positions."""


@dataclass(frozen=True, slots=True)
class Range:
    """Offsets [start, end) of a topic partition."""

    partition: int
    start: int
    end: int


class Documents:
    """The documents table of one generation, as its single writer sees it."""

    def __init__(self, table: DeltaTable, path: Path) -> None:
        self._table = table
        self.path = path

    @classmethod
    def create(cls, path: Path, properties: Mapping[str, str]) -> Documents:
        """Make an empty table; `properties` (of the generation) are kept in its metadata."""
        configuration = {f"wetstream.{name}": value for name, value in properties.items()}
        configuration["wetstream.schema_version"] = str(SCHEMA_VERSION)
        configuration["delta.checkpointInterval"] = CHECKPOINT_INTERVAL
        table = DeltaTable.create(
            str(path), schema=DOCUMENTS, mode="error", configuration=configuration, raise_if_key_not_exists=False
        )
        return cls(table, path)

    @classmethod
    def open(cls, path: Path) -> Documents:
        """Open the table. Raises DocumentsError when there is none or it is another version's."""
        try:
            table = DeltaTable(str(path))
        except TableNotFoundError:
            raise DocumentsError(
                f"{path} is no documents table (it has no Delta log): restore it from a backup, or move the folder "
                "away to begin anew"
            ) from None
        except DeltaError as error:
            raise DocumentsError(f"the documents table {path} cannot be read: {error}") from error
        documents = cls(table, path)
        version = documents.properties.get("schema_version")
        if version != str(SCHEMA_VERSION):
            raise DocumentsError(
                f"the documents table {path} has schema version {version}; this wetstream writes version "
                f"{SCHEMA_VERSION}: use the version that made it, or replay into a new generation"
            )
        return documents

    @property
    def properties(self) -> dict[str, str]:
        """What was stored at creation: pipeline, generation, profile, rules_hash, schema_version."""
        configuration = self._table.metadata().configuration
        return {
            key.removeprefix("wetstream."): value
            for key, value in configuration.items()
            if key.startswith("wetstream.") and value is not None
        }

    @property
    def version(self) -> int:
        """Version of the Delta table."""
        return self._table.version()

    @property
    def topic_commits(self) -> int:
        """How many micro-batches are in the table."""
        return self._transaction(TOPIC_COMMITS)

    @property
    def is_empty(self) -> bool:
        """Whether nothing was ever committed."""
        return not (self.topic_commits or self._transaction(FILE_COMMITS) or self._transaction(REMOVALS))

    def bind_topic(self, name: str, topic_id: str, partitions: int) -> None:
        """Remember the topic that the documents come from; its positions are known without Kafka from then on.

        Raises DocumentsError when they come from another one: its offsets would mean other records.
        """
        bound = self.properties
        if bound.get("topic_id", topic_id) != topic_id:
            raise DocumentsError(
                f"topic {name} is not the one that {self.path} was made from (it was deleted and made anew, or this is "
                "another cluster): point kafka.bootstrap_servers to the right one, or begin a new --pipeline"
            )
        if (bound.get("topic_id"), bound.get("topic_partitions")) != (topic_id, str(partitions)):
            properties = {"wetstream.topic": name, "wetstream.topic_id": topic_id}
            properties["wetstream.topic_partitions"] = str(partitions)
            self._table.alter.set_table_properties(properties, raise_if_not_exists=False)

    def position(self) -> dict[str, int]:
        """What is counted here, zeros left out.

        Next offset of each partition, by `<topic id>/<partition>`, the number of removals, and of commits from files.
        """
        bound = self.properties
        partitions = range(int(bound.get("topic_partitions", 0)))
        names = [*(partition_key(bound["topic_id"], number) for number in partitions), REMOVALS, FILE_COMMITS]
        return {name: version for name in names if (version := self._transaction(name))}

    def commit(self, files: Sequence[DocumentFile], finish: Mapping[str, int]) -> None:
        """Add the files of a micro-batch; `finish` holds the new positions of the partitions that it moved.

        Raises FencedError when the log has moved on since this handle's snapshot, or will not take the commit.
        """
        self._require(files)
        transactions = [Transaction(TOPIC_COMMITS, self.topic_commits + 1)]
        transactions += [Transaction(name, version) for name, version in sorted(finish.items())]
        crash_point("before-delta-commit")
        self._write(_adds(files, data_change=True), transactions)
        crash_point("after-delta-commit")

    def exclusions(self) -> list[Exclusion]:
        """What readers of the topic leave out: removed sources, and those that are here from their files."""
        return [e for e in self._exclusions() if e.removal or self.is_from_file(e.source)]

    def is_from_file(self, source: str) -> bool:
        """Whether the source was read from its file, not from the topic."""
        return self._transaction(FROM_FILE + source) % 2 == 1

    def sources_from_files(self) -> list[str]:
        """The sources that were read from their files."""
        return [e.source for e in self._exclusions() if not e.removal and self.is_from_file(e.source)]

    def expect_files(self, sources: Sequence[str]) -> None:
        """Leave these sources to their files, from the commit on that brings them; the topic's records do not count."""
        known = {e.source for e in self._exclusions() if not e.removal}
        fresh = [Exclusion(source, -1, FOR_EVER, 0) for source in sources if source not in known]
        if fresh:
            self._exclude([*self._exclusions(), *fresh])

    def inherit(self, exclusions: Sequence[Exclusion]) -> None:
        """Begin with what an earlier generation leaves out."""
        if exclusions:
            self._exclude(exclusions)

    def commit_files(self, files: Sequence[DocumentFile], sources: Sequence[str]) -> None:
        """Add the documents of whole sources, read from their WET files. Raises FencedError."""
        self._require(files)
        transactions = [Transaction(FILE_COMMITS, self._transaction(FILE_COMMITS) + 1)]
        transactions += [
            Transaction(FROM_FILE + source, self._transaction(FROM_FILE + source) + 1) for source in sorted(sources)
        ]
        crash_point("before-delta-commit")
        self._write(_adds(files, data_change=True), transactions)
        crash_point("after-delta-commit")

    def plan_removal(self, ends: Mapping[str, tuple[int, int]]) -> None:
        """Decide to take sources out: from here on every start finishes it. `ends`: (partition, end offset) by source.

        What was ingested up to these offsets is excluded; what is ingested behind them is the source anew.
        """
        number = self._transaction(REMOVALS) + 1
        kept = [
            e
            for e in self._exclusions()
            if not (e.source in ends and (not e.removal or e.partition == ends[e.source][0]))
        ]
        added = [Exclusion(source, partition, end, number) for source, (partition, end) in ends.items()]
        self._exclude([*kept, *added])

    def planned_removal(self) -> list[Exclusion]:
        """Removals that are decided, and not done yet."""
        done = self._transaction(REMOVALS)
        return [e for e in self._exclusions() if e.removal > done]

    def files_of(self, sources: Sequence[str]) -> list[str]:
        """Paths of the files that may hold rows of these sources, by the log's statistics."""
        return [
            file["path"]
            for file in self.files()
            if file.get("min.source") is None or any(file["min.source"] <= s <= file["max.source"] for s in sources)
        ]

    def remove(self, paths: Sequence[str], files: Sequence[DocumentFile]) -> None:
        """Finish the planned removal: `files` hold what is left of the files at `paths`. Raises FencedError."""
        self._require(files)
        gone = [e.source for e in self.planned_removal()]
        transactions = [Transaction(REMOVALS, self._transaction(REMOVALS) + 1)]
        transactions += [
            Transaction(FROM_FILE + source, self._transaction(FROM_FILE + source) + 1)
            for source in gone
            if self.is_from_file(source)
        ]
        now_ms = int(time.time() * 1000)
        removes = [RemoveAction(path, data_change=True, deletion_timestamp=now_ms) for path in paths]
        self._write([*_adds(files, data_change=True), *removes], transactions)

    def mark(self, name: str, value: str) -> None:
        """Keep a property of the generation."""
        self._table.alter.set_table_properties({f"wetstream.{name}": value}, raise_if_not_exists=False)

    def _exclusions(self) -> list[Exclusion]:
        return from_json(self.properties.get(EXCLUSIONS))

    def _exclude(self, exclusions: Sequence[Exclusion]) -> None:
        self.mark(EXCLUSIONS, to_json(exclusions))

    def replace(self, paths: Sequence[str], files: Sequence[DocumentFile]) -> None:
        """Put `files` in the place of the files at `paths`, which hold the same rows. Raises FencedError."""
        self._require(files)
        now_ms = int(time.time() * 1000)
        removes = [RemoveAction(path, data_change=False, deletion_timestamp=now_ms) for path in paths]
        self._write([*_adds(files, data_change=False), *removes], [])

    def _write(self, actions: list[AddAction | RemoveAction], transactions: list[Transaction]) -> None:
        commits = self._transaction(COMMITS) + 1
        transactions = [Transaction(COMMITS, commits), *transactions]
        try:
            self._table.create_write_transaction(
                actions, "append", DOCUMENTS, commit_properties=CommitProperties(app_transactions=transactions)
            )
        except CommitFailedError as error:
            # Our own commit may have gone through although its answer was lost: then its very files are there.
            self._table = DeltaTable(str(self.path))
            added = {action.path for action in actions if isinstance(action, AddAction)}
            if self._transaction(COMMITS) != commits or not added <= self._paths():
                raise FencedError(f"another writer has committed to {self.path}: {error}") from error
        else:
            self._table.update_incremental()
            if self._transaction(COMMITS) != commits:
                raise FencedError(f"another writer has committed to {self.path}")

    def _require(self, files: Sequence[DocumentFile]) -> None:
        for file in files:
            if not (self.path / file.path).is_file():
                raise DocumentsError(
                    f"{self.path / file.path} was written by a task but is not there: executors and driver must see "
                    "the same folder (documents.path on shared storage)"
                )

    def vacuum(self, retention_hours: float, *, dry_run: bool) -> list[str]:
        """Delete files that no version of the last hours names (joined ones, and those of tasks that died).

        Returns their paths. A retention shorter than the longest micro-batch would delete files that are about to be
        committed; the default of the command is a week.
        """
        return self._table.vacuum(int(retention_hours), dry_run=dry_run, enforce_retention_duration=False, full=True)

    def history(self, limit: int) -> list[dict[str, Any]]:
        """The last commits, newest first, as Delta tells them."""
        return self._table.history(limit)

    def files(self) -> list[dict[str, Any]]:
        """Path, size_bytes, num_records and statistics (min.…, max.…) of each file."""
        rows = pa.table(self._table.get_add_actions(flatten=True)).to_pylist()
        return [{**dict.fromkeys(FILE_BOUNDS), **row} for row in rows]

    def scan(self, ranges: Sequence[Range] | None = None) -> Iterator[pa.RecordBatch]:
        """Documents rows, `words` dictionary-encoded; with `ranges` only those of these topic offsets.

        Only files whose statistics say that they may hold such a row are opened.
        """
        for path in self._files(ranges):
            file = pq.ParquetFile(self.path / path, read_dictionary=["words.list.element"])
            for batch in file.iter_batches(batch_size=SCAN_ROWS):
                chosen = batch if ranges is None else batch.filter(_in_ranges(batch, ranges))
                if chosen.num_rows:
                    yield chosen

    def file_paths(self) -> list[str]:
        """Absolute paths of the table's Parquet files."""
        return sorted(str(self.path / path) for path in self._paths())

    def row_count(self) -> int:
        """Rows of the table, from the log."""
        return sum(file["num_records"] for file in self.files())

    def _files(self, ranges: Sequence[Range] | None) -> list[str]:
        return [file["path"] for file in self.files() if ranges is None or any(_may_hold(file, r) for r in ranges)]

    def _paths(self) -> set[str]:
        return {file["path"] for file in self.files()}

    def _transaction(self, name: str) -> int:
        return self._table.transaction_version(name) or 0


def partition_key(topic_id: str, partition: int) -> str:
    """Name of a partition's position: the app id of its transactions, and its key in a position."""
    return f"{topic_id}/{partition}"


def _adds(files: Sequence[DocumentFile], *, data_change: bool) -> list[AddAction | RemoveAction]:
    now_ms = int(time.time() * 1000)
    return [AddAction(file.path, file.size, {}, now_ms, data_change, file.stats) for file in files]


def _may_hold(file: Mapping[str, Any], wanted: Range) -> bool:
    low_partition, high_partition, low, high = (file[name] for name in FILE_BOUNDS)
    if None in (low_partition, high_partition, low, high):
        return True
    return bool(low_partition <= wanted.partition <= high_partition and low < wanted.end and high >= wanted.start)


def _in_ranges(batch: pa.RecordBatch, ranges: Sequence[Range]) -> pa.Array:
    partition, offset = batch.column("topic_partition"), batch.column("topic_offset")
    mask = pa.array([False] * batch.num_rows)
    for wanted in ranges:
        inside = pc.and_(pc.greater_equal(offset, wanted.start), pc.less(offset, wanted.end))
        mask = pc.or_(mask, pc.and_(pc.equal(partition, wanted.partition), inside))
    return pc.fill_null(mask, False)
