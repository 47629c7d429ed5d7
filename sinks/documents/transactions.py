"""App transactions of a Delta table, read from its log at once.

delta-rs replays the log for every name that it is asked for: most of a minute for the transactions of 10,000 sources.
One pass over the last checkpoint and the commits after it yields all of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable, Transaction

from sinks.documents.errors import DocumentsError
from sinks.storage.location import Location

CHECKPOINT = re.compile(r"(\d{20})\.checkpoint\.parquet")
READ_THREADS = 16  # requests under way to an object store


class Transactions:
    """Versions of the app transactions in one snapshot of a table, and in the commits that its writer adds."""

    def __init__(self, table: DeltaTable, location: Location) -> None:
        self._table = table
        self._location = location
        self._versions: dict[str, int] | None = None

    def version(self, name: str) -> int:
        """Version of one app transaction; 0 if there is none."""
        return self._read().get(name, 0)

    def all(self) -> dict[str, int]:
        """Versions of all app transactions."""
        return dict(self._read())

    def add(self, committed: Iterable[Transaction]) -> None:
        """Include the transactions of a commit that the table has accepted."""
        if self._versions is not None:
            self._versions.update({transaction.app_id: transaction.version for transaction in committed})

    def _read(self) -> dict[str, int]:
        if self._versions is None:
            with self._location.explaining():
                self._versions = read_transactions(self._location, self._table.version())
        return self._versions


def read_transactions(table: Location, version: int) -> dict[str, int]:
    """Read the app transactions of one version of a table, by name.

    Raises:
        DocumentsError: A file of the log is missing, or is not what delta-rs writes.
    """
    log = table / "_delta_log"
    try:
        checkpoint = _last_checkpoint(log, version)
        found = {} if checkpoint is None else _in_checkpoint(log / f"{checkpoint:020d}.checkpoint.parquet")
        first = 0 if checkpoint is None else checkpoint + 1
        with ThreadPoolExecutor(READ_THREADS) as threads:
            for later in threads.map(lambda n: _in_commit(log / f"{n:020d}.json"), range(first, version + 1)):
                found.update(later)
    except (FileNotFoundError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise DocumentsError(
            f"the log of the documents table {table} is damaged ({error}): restore {log} from a backup"
        ) from error
    return found


def _last_checkpoint(log: Location, version: int) -> int | None:
    """Version of the last checkpoint that is not newer than `version`; None for none."""
    try:
        newest = int(json.loads((log / "_last_checkpoint").read().data)["version"])
    except FileNotFoundError:
        return None
    if newest <= version:
        return newest
    named = [int(match[1]) for name in log.files() if (match := CHECKPOINT.fullmatch(name))]
    return max((number for number in named if number <= version), default=None)


def _in_checkpoint(file: Location) -> dict[str, int]:
    with file.open() as opened:
        transactions = pq.ParquetFile(opened).read(columns=["txn"])["txn"].combine_chunks()
    transactions = transactions.drop_null()
    return dict(zip(transactions.field("appId").to_pylist(), transactions.field("version").to_pylist(), strict=True))


def _in_commit(file: Location) -> dict[str, int]:
    actions = [json.loads(line) for line in file.read().data.splitlines() if b'"txn"' in line]
    return {action["txn"]["appId"]: int(action["txn"]["version"]) for action in actions if "txn" in action}
