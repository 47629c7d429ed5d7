"""Which version of the documents table a point in time is."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from serving.export.document_filter import source_matches
from serving.slices.slice import AFTER, NOW, SliceError
from sinks.documents.table import Documents


def documents_as_of(documents: Documents, as_of: str) -> Documents:
    """Return the documents table as it was at a point in time, see `Slice.as_of`.

    Raises:
        SliceError: There is no such point.
        DocumentsError: The table's log does not reach back so far.
    """
    if as_of == NOW:
        return documents
    if re.fullmatch("[0-9]{1,18}", as_of):
        return documents.at(int(as_of))
    if as_of.startswith(AFTER):
        return _after(documents, as_of.removeprefix(AFTER).strip())
    try:
        when = datetime.fromisoformat(as_of)
        when = (when if when.tzinfo else when.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise SliceError(
            f"{as_of} is no point in time: write a version of the documents table (as in 12), a time (as in "
            "2026-11-26T10:00), `after` and the name of a source, segment or crawl, or `now`"
        ) from None
    return _at_time(documents, when)


def _at_time(documents: Documents, when: datetime) -> Documents:
    milliseconds = int(when.timestamp() * 1000)
    commits = [(commit["timestamp"], commit["version"]) for commit in documents.history(None)]
    versions = [version for timestamp, version in commits if timestamp <= milliseconds]
    if not versions:
        first = datetime.fromtimestamp(min(commits)[0] / 1000, UTC)
        raise SliceError(
            f"the log of {documents.location} begins at {first:%Y-%m-%d %H:%M:%S} UTC: no state is known of "
            f"{when:%Y-%m-%d %H:%M:%S} UTC"
        )
    return documents.at(max(versions))


def _after(documents: Documents, name: str) -> Documents:
    """The first version that holds all that the table holds now of the sources that a name matches.

    A version holds no fewer rows of a source than those before it, unless it was removed, so that the version is found
    by bisection.
    """
    wanted = _rows_of(documents, name)
    if not wanted:
        raise SliceError(f"no source of the documents matches {name}: `wetstream segments` lists them")
    low, high = 0, documents.version
    while low < high:
        middle = (low + high) // 2
        if _rows_of(documents.at(middle), name) >= wanted:
            high = middle
        else:
            low = middle + 1
    return documents.at(low)


def _rows_of(documents: Documents, name: str) -> int:
    files = documents.parquet_files()
    if not files:
        return 0
    with documents.naming_damage(), files.connect() as connection:
        rows = connection.execute(
            "select source, count(*) from read_parquet(?) group by source", [files.uris]
        ).fetchall()
    return sum(n for source, n in rows if source_matches(name, source))
