"""Explains errors of DuckDB and Arrow about the documents table."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from conf.errors import ExplainedError

REMEDY = (
    "if the table was vacuumed meanwhile, run the command again; otherwise restore the file from a backup, or process "
    "the sources again with `wetstream replay`"
)


class DocumentsUnreadableError(ExplainedError):
    """The documents table cannot be read; the message says why, and the remedy."""


@contextmanager
def unreadable_explained(path: str = "the documents table") -> Iterator[None]:
    """Turn errors of DuckDB and Arrow while reading `path` into DocumentsUnreadableError."""
    import duckdb  # late, both: they take a while to load, and most commands do not read the table
    import pyarrow as pa

    try:
        yield
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DocumentsUnreadableError(f"{path} cannot be read ({reason}): {REMEDY}") from error
