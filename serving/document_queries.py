"""Hosts and URLs: questions to the documents table, since Redis only holds what can be added up in little space."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from serving.as_of import AsOf
from sinks.documents.hosts import host_of

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


class DocumentQueries:
    """Questions to the documents table; `open_documents` gives it as it is now. One question at a time: each may read
    the whole table. Answers carry the version of the table, and up to which positions of the topic it goes.
    """

    def __init__(self, open_documents: Callable[[], Documents]) -> None:
        self._open = open_documents
        self._lock = threading.Lock()

    def hosts(self, limit: int = 20, offset: int = 0, contains: str = "") -> dict[str, Any]:
        """Hosts with the most pages: {hosts: [{host, pages, documents, tokens}], table_version, positions}."""
        rows, state = self._ask(HOSTS, [contains.lower(), limit, offset])
        names = ("host", "pages", "documents", "tokens")
        return {"hosts": [dict(zip(names, row, strict=True)) for row in rows], **state}

    def urls(self, of: str, limit: int = 20, offset: int = 0) -> dict[str, Any]:
        """The pages of a host, or of exactly this URL, kept or not (`reason`)."""
        rows, state = self._ask(URLS, [host_of(f"http://{of}/"), of, limit, offset])
        names = ("url", "source", "record_offset", "date", "language", "reason", "tokens")
        return {"urls": [dict(zip(names, row, strict=True)) for row in rows], **state}

    def _ask(self, query: str, values: list[Any]) -> tuple[list[tuple[Any, ...]], dict[str, Any]]:
        import duckdb  # late: whoever asks nothing of the table need not wait for it

        with self._lock:
            documents = self._open()
            files = documents.file_paths()
            state = {"table_version": documents.version, "positions": documents.position()}
            if not files:
                return [], state
            with duckdb.connect(config={"threads": 1}) as connection:
                connection.execute("set timezone = 'UTC'")
                return connection.execute(query, [files, *values]).fetchall(), state


def as_of_table(answer: dict[str, Any], as_of: AsOf) -> dict[str, Any]:
    """Return the answer with `as_of` like every other, at the positions that the table goes up to."""
    positions = answer.pop("positions")
    return {**answer, "as_of": as_of.answer | {"positions": positions}}
