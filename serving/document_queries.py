"""Hosts and URLs, read from the documents table: Redis only holds what can be added up in little space."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from serving.answers.documents import Hosts, Urls
from serving.answers.shape import AsOf
from serving.unreadable import unreadable_explained

if TYPE_CHECKING:
    from sinks.documents.table import Documents

# Rows that take others back (records = -1) cancel them.
PAGES = "select * from read_parquet(?) where url is not null"
HOSTS = f"""
select host, sum(records)::bigint, coalesce(sum(records) filter (reason is null), 0)::bigint, sum(tokens)::bigint
from ({PAGES}) where host is not null and contains(host, ?) group by host having sum(records) > 0
order by 2 desc, 1 limit ? offset ?"""
URLS = f"""
select url, source, record_offset, any_value(strftime(date at time zone 'UTC', '%Y-%m-%dT%H:%M:%SZ')),
       any_value(language), reason, sum(tokens)::bigint
from ({PAGES}) where host = ? or url = ?
group by url, source, record_offset, reason having sum(records) > 0 order by url, source, record_offset
limit ? offset ?"""


class _Result(NamedTuple):
    rows: Sequence[tuple[Any, ...]]
    version: int
    positions: dict[str, int]

    def as_of(self, as_of: AsOf) -> AsOf:
        """The state of the numbers, at the positions of this version of the table."""
        return {**as_of, "positions": self.positions}


class DocumentQueries:
    """Queries of the documents table, one at a time: each may read all of it.

    Args:
        open_documents: Opens the table as it is now.
    """

    def __init__(self, open_documents: Callable[[], Documents]) -> None:
        self._open = open_documents
        self._lock = threading.Lock()

    def hosts(self, as_of: AsOf, limit: int = 20, offset: int = 0, contains: str = "") -> Hosts:
        """Return the hosts with the most pages.

        Args:
            as_of: State of the numbers, which the answer carries at the positions of the table.
            limit: Hosts in the answer.
            offset: Hosts before them.
            contains: Only hosts that contain this text, in any case.

        Raises:
            DamagedFileError: A file of the table is missing or damaged.
            DocumentsUnreadableError: The table cannot be read for another reason.
        """
        found = self._query(HOSTS, [contains.lower(), limit, offset])
        return {
            "hosts": [
                {"host": host, "pages": pages, "documents": documents, "tokens": tokens}
                for host, pages, documents, tokens in found.rows
            ],
            "table_version": found.version,
            "as_of": found.as_of(as_of),
        }

    def urls(self, as_of: AsOf, of: str, limit: int = 20, offset: int = 0) -> Urls:
        """Return the pages of a host, or of exactly one URL, kept or not; otherwise like `hosts`."""
        from sinks.documents.hosts import host_of  # late: it loads Arrow, and most questions are for Redis

        found = self._query(URLS, [host_of(f"http://{of}/"), of, limit, offset])
        return {
            "urls": [
                {
                    "url": url,
                    "source": source,
                    "record_offset": record_offset,
                    "date": date,
                    "language": language,
                    "reason": reason,
                    "tokens": tokens,
                }
                for url, source, record_offset, date, language, reason, tokens in found.rows
            ],
            "table_version": found.version,
            "as_of": found.as_of(as_of),
        }

    def _query(self, query: str, values: list[Any]) -> _Result:
        with self._lock:
            documents = self._open()
            files = documents.parquet_files()
            if not files:
                return _Result([], documents.version, documents.position())
            with unreadable_explained(), documents.naming_damage(), files.connect(threads=1) as connection:
                rows = connection.execute(query, [files.uris, *values]).fetchall()
                return _Result(rows, documents.version, documents.position())
