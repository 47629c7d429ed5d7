"""The Delta log of a documents table: positions, and the fence between writers.

A micro-batch is one commit, which adds its files together with its end positions (as app transactions). The commit is
made from the snapshot that its start positions were read from and carries the app transaction `wetstream/commits` =
n + 1, so the log refuses one of two commits from the same snapshot. That is the fence: two writers can never count the
same records twice.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.exceptions import CommitFailedError
from deltalake.transaction import AddAction, RemoveAction

from conf.crash_points import crash_point
from sinks.documents.errors import DocumentsError, FencedError, OldSchemaError
from sinks.documents.files import DocumentFile, check_writable, require_files
from sinks.documents.opening import create_table, load_table, open_table
from sinks.documents.schema import DOCUMENTS, SCHEMA_VERSION
from sinks.documents.transactions import Transactions
from sinks.storage.location import Location

COMMITS = "wetstream/commits"  # commits by writers; any two concurrent ones conflict on it
TOPIC_COMMITS = "wetstream/topic-commits"  # commits of micro-batches from the topic
TOPIC_PARTITIONS = "wetstream/topic-partitions"  # partitions that have a position; grows with the topic
LOST = "lost"  # offsets that the topic lost to retention before they were processed
LOST_OF = "wetstream/lost/"  # + partition key: those of one partition
REMOVALS = "removals"  # removals of sources
FILE_COMMITS = "files"  # commits of sources that were read from their files, without the topic
FROM_FILE = "wetstream/source/"  # + source: odd while the table holds it from its file, even after its removal
PIPELINE_ID = "pipeline_id"
SOURCES = "wetstream.sources"  # JSON: the sources of whose records a commit adds or removes some
SOURCES_OMITTED = "wetstream.sources_omitted"
MAX_SOURCES = 1_000
# Bounds of a file in `files()`; null where the log does not know them.
FILE_BOUNDS = ("min.topic_partition", "max.topic_partition", "min.topic_offset", "max.topic_offset")

Actions = list[AddAction | RemoveAction]


class DocumentsLog:
    """The log of one generation's documents table, read and written by its single writer."""

    def __init__(self, table: DeltaTable, location: Location) -> None:
        self._table = table
        self.location = location
        self._transactions = Transactions(table, location)

    @classmethod
    def create(cls, location: Location, properties: Mapping[str, str]) -> Self:
        """Create an empty table; `properties` of the generation are kept in its metadata."""
        return cls(create_table(location, properties), location)

    @classmethod
    def open(cls, location: Location) -> Self:
        """Open a table.

        Raises:
            OldSchemaError: An older version of wetstream made it.
            DocumentsError: There is no table at `location`, it cannot be read, or a newer version of wetstream made it.
        """
        documents = cls.open_any(location)
        version = documents.schema_version
        if version == SCHEMA_VERSION:
            return documents
        found = f"the documents table {location} has schema version {version}; this wetstream writes {SCHEMA_VERSION}: "
        if 0 < version < SCHEMA_VERSION:
            raise OldSchemaError(
                f"{found}`wetstream upgrade` brings the live generation to it; of others, `wetstream generations drop "
                f"{location.name}` deletes this one"
            )
        folder = location.uri.rpartition("/")[0]
        raise DocumentsError(
            f"{found}use the version that made it, or move {folder} away and process the records again: `wetstream "
            "stream` takes them from the topic, `wetstream replay --from files SOURCE...` takes those that came from "
            "files"
        )

    @classmethod
    def open_any(cls, location: Location) -> Self:
        """Open a table of any schema version, to look at it or to upgrade it. Raises DocumentsError."""
        return cls(open_table(location), location)

    @property
    def properties(self) -> dict[str, str]:
        """Properties of the generation: pipeline, generation, profile, rules_hash, schema_version, topic, …."""
        configuration = self._table.metadata().configuration
        return {
            key.removeprefix("wetstream."): value
            for key, value in configuration.items()
            if key.startswith("wetstream.") and value is not None
        }

    @property
    def schema_version(self) -> int:
        """Version of its columns and their meaning; 0 for none that wetstream has written."""
        stored = self.properties.get("schema_version", "")
        return int(stored) if stored.isascii() and stored.isdecimal() else 0

    @property
    def table_id(self) -> str:
        """Id of the Delta table; copies and backups of it have the same."""
        return str(self._table.metadata().id)

    @property
    def pipeline_id(self) -> str:
        """Id that all generations of a pipeline share."""
        return self.properties.get(PIPELINE_ID, self.table_id)

    @property
    def version(self) -> int:
        """Version of the Delta table."""
        return self._table.version()

    @property
    def topic_commits(self) -> int:
        """Number of micro-batches from the topic."""
        return self._transaction(TOPIC_COMMITS)

    @property
    def is_empty(self) -> bool:
        """Whether nothing was ever committed."""
        return not any(self._transaction(name) for name in (TOPIC_COMMITS, FILE_COMMITS, REMOVALS))

    def check_writable(self) -> None:
        """Check that files can be written to the table's folder.

        Raises:
            DocumentsError: They cannot.
        """
        check_writable(self.location)

    def set_property(self, name: str, value: str) -> None:
        """Set a property of the generation."""
        self._set_properties({f"wetstream.{name}": value})

    def bind_topic(self, name: str, topic_id: str, partitions: int) -> None:
        """Store the topic that the documents come from, so that `position` does not need Kafka.

        Raises:
            DocumentsError: They come from another topic, whose offsets mean other records.
        """
        bound = self.properties
        if bound.get("topic_id", topic_id) != topic_id:
            raise DocumentsError(
                f"topic {name} is not the one that {self.location} was made from (the topic was deleted and created "
                "again, or this is another cluster): point kafka.bootstrap_servers to the right one, or use a new "
                "--pipeline"
            )
        if (bound.get("topic_id"), bound.get("topic_partitions")) != (topic_id, str(partitions)):
            properties = {"wetstream.topic": name, "wetstream.topic_id": topic_id}
            properties["wetstream.topic_partitions"] = str(partitions)
            self._set_properties(properties)

    def position(self) -> dict[str, int]:
        """Return what the table contains; zeros are left out.

        Returns:
            The next offset of each partition, by `<topic id>/<partition>`, the number of removals (REMOVALS) and of
            commits from files (FILE_COMMITS), and of offsets that were lost (LOST).
        """
        names = [*self._partition_keys(), REMOVALS, FILE_COMMITS, LOST]
        return {name: version for name in names if (version := self._transaction(name))}

    def lost_offsets(self) -> dict[str, int]:
        """Number of offsets that were lost to retention and skipped, by partition key; zeros are left out."""
        return {name: lost for name in self._partition_keys() if (lost := self._transaction(LOST_OF + name))}

    def commit(self, files: Sequence[DocumentFile], finish: Mapping[str, int], sources: Iterable[str] = ()) -> None:
        """Add the files of a micro-batch.

        Args:
            files: Files that hold the documents of the micro-batch.
            finish: New positions of the partitions that it advanced, by their `partition_key`.
            sources: The sources of its records, for `history`.

        Raises:
            FencedError: Another writer has committed since this table was opened.
            DocumentsError: A file is missing.
        """
        self._add(files, self._advanced(finish), sources)

    def skip_lost(self, lost: Mapping[str, tuple[int, int]]) -> None:
        """Move positions behind offsets that the topic has lost, and count these.

        Args:
            lost: First offset and end of what is lost, by partition key; the first offset is the partition's position.

        Raises:
            FencedError: Another writer has committed since this table was opened.
        """
        transactions = self._advanced({name: end for name, (_, end) in lost.items()})
        transactions += [
            Transaction(LOST_OF + name, self._transaction(LOST_OF + name) + end - first)
            for name, (first, end) in sorted(lost.items())
        ]
        transactions.append(Transaction(LOST, self._transaction(LOST) + sum(end - at for at, end in lost.values())))
        self._write([], transactions)

    def commit_files(self, files: Sequence[DocumentFile], sources: Sequence[str]) -> None:
        """Add the documents of whole sources, read from their WET files.

        Raises:
            FencedError: Another writer has committed since this table was opened.
            DocumentsError: A file is missing.
        """
        transactions = [Transaction(FILE_COMMITS, self._transaction(FILE_COMMITS) + 1)]
        transactions += [self._toggled(source) for source in sorted(sources)]
        self._add(files, transactions, sources)

    def transactions(self) -> dict[str, int]:
        """All app transactions: positions, removals, sources held from their files, numbers of commits."""
        return self._transactions.all()

    def take_over(self, files: Sequence[DocumentFile], transactions: Mapping[str, int], sources: Iterable[str]) -> None:
        """Add the documents and app transactions of an earlier table, as the first commit.

        Raises:
            FencedError: Another writer has committed since this table was opened.
            DocumentsError: A file is missing.
        """
        taken = [Transaction(name, version) for name, version in sorted(transactions.items()) if name != COMMITS]
        self._add(files, taken, sources)

    def replace(self, paths: Sequence[str], files: Sequence[DocumentFile]) -> None:
        """Replace the files at `paths` by `files`, which hold the same rows.

        Raises:
            FencedError: Another writer has committed since this table was opened.
            DocumentsError: A file is missing.
        """
        require_files(self.location, files)
        self._write([*add_actions(files, data_change=False), *remove_actions(paths, data_change=False)], [])

    def history(self, limit: int | None) -> list[dict[str, Any]]:
        """The last commits (None: all in the log) as Delta describes them, newest first, each with its `sources`."""
        return [described(commit) for commit in self._table.history(limit)]

    def files(self) -> list[dict[str, Any]]:
        """Path, size_bytes, num_records and statistics (min.…, max.…) of each file."""
        rows = pa.table(self._table.get_add_actions(flatten=True)).to_pylist()
        return [{**dict.fromkeys(FILE_BOUNDS), **row} for row in rows]

    def holds(self, paths: Sequence[str]) -> bool:
        """Whether all of these files are part of the table."""
        live = pa.table(self._table.get_add_actions())["path"].cast(pa.string()).combine_chunks()
        return bool(pc.all(pc.is_in(pa.array(paths, pa.string()), value_set=live)).as_py())

    def _set_properties(self, properties: Mapping[str, str]) -> None:
        with self.location.explaining():
            self._table.alter.set_table_properties(dict(properties), raise_if_not_exists=False)

    def _partition_keys(self) -> list[str]:
        """Keys of all partitions that may have a position, also of those added since the topic was bound."""
        bound = self.properties
        if "topic_id" not in bound:
            return []
        partitions = max(int(bound.get("topic_partitions", 0)), self._transaction(TOPIC_PARTITIONS))
        return [partition_key(bound["topic_id"], number) for number in range(partitions)]

    def _advanced(self, finish: Mapping[str, int]) -> list[Transaction]:
        """The transactions of a commit from the topic. The first one of a new partition also makes it known."""
        transactions = [Transaction(TOPIC_COMMITS, self.topic_commits + 1)]
        transactions += [Transaction(name, version) for name, version in sorted(finish.items())]
        partitions = max((int(name.rpartition("/")[2]) + 1 for name in finish), default=0)
        if partitions > len(self._partition_keys()):
            transactions.append(Transaction(TOPIC_PARTITIONS, partitions))
        return transactions

    def _toggled(self, source: str) -> Transaction:
        return Transaction(FROM_FILE + source, self._transaction(FROM_FILE + source) + 1)

    def _transaction(self, name: str) -> int:
        return self._transactions.version(name)

    def _paths(self) -> set[str]:
        return {file["path"] for file in self.files()}

    def _add(self, files: Sequence[DocumentFile], transactions: list[Transaction], sources: Iterable[str]) -> None:
        require_files(self.location, files)
        crash_point("before-delta-commit")
        self._write(add_actions(files, data_change=True), transactions, sources)
        crash_point("after-delta-commit")

    def _write(self, actions: Actions, transactions: list[Transaction], sources: Iterable[str] = ()) -> None:
        commits = self._transaction(COMMITS) + 1
        transactions = [Transaction(COMMITS, commits), *transactions]
        properties = commit_properties(transactions, sources)
        with self.location.explaining():
            try:
                self._table.create_write_transaction(actions, "append", DOCUMENTS, commit_properties=properties)
            except CommitFailedError as error:
                # It may have succeeded although its answer was lost: then the log holds exactly these files. Without
                # files that cannot be told, and starting again from the log is right whoever committed.
                self._table = load_table(self.location)
                self._transactions = Transactions(self._table, self.location)
                added = {action.path for action in actions if isinstance(action, AddAction)}
                if not added or self._transaction(COMMITS) != commits or not added <= self._paths():
                    raise FencedError(f"another writer has committed to {self.location}: {error}") from error
            else:
                self._table.update_incremental()
                self._transactions.add(transactions)
                if self._table.transaction_version(COMMITS) != commits:
                    raise FencedError(f"another writer has committed to {self.location}")


def partition_key(topic_id: str, partition: int) -> str:
    """Name of a partition in a position, and of the app transaction that stores it."""
    return f"{topic_id}/{partition}"


def add_actions(files: Sequence[DocumentFile], *, data_change: bool) -> Actions:
    """The actions that add files."""
    now_ms = int(time.time() * 1000)
    return [AddAction(file.path, file.size, {}, now_ms, data_change, file.stats) for file in files]


def remove_actions(paths: Sequence[str], *, data_change: bool) -> Actions:
    """The actions that remove files."""
    now_ms = int(time.time() * 1000)
    return [RemoveAction(path, data_change=data_change, deletion_timestamp=now_ms) for path in paths]


def commit_properties(transactions: list[Transaction], sources: Iterable[str]) -> CommitProperties:
    """What a commit carries besides its files: app transactions, and the names of at most MAX_SOURCES sources."""
    names = sorted(set(sources))
    said = {SOURCES: json.dumps(names[:MAX_SOURCES], ensure_ascii=False)} if names else {}
    if len(names) > MAX_SOURCES:
        said[SOURCES_OMITTED] = str(len(names) - MAX_SOURCES)
    return CommitProperties(app_transactions=transactions, custom_metadata=said)


def described(commit: Mapping[str, Any]) -> dict[str, Any]:
    """A commit as Delta describes it, with `sources` as a list of names and `sources_omitted` as a number."""
    found = dict(commit)
    sources, omitted = found.pop(SOURCES, "[]"), found.pop(SOURCES_OMITTED, 0)
    return {**found, "sources": json.loads(sources), "sources_omitted": int(omitted)}
