"""Errors of the documents table."""

from __future__ import annotations

from conf.errors import ExplainedError
from sinks.storage.location import Location


class DocumentsError(ExplainedError):
    """The documents table cannot be used as it is; the message says why and what to do."""


class OldSchemaError(DocumentsError):
    """An older version of wetstream made the documents table; `wetstream upgrade` makes one of this version from it."""


class FencedError(DocumentsError):
    """Another writer has committed; this one must not continue from its positions."""


class DamagedFileError(DocumentsError):
    """A file of the documents table is missing, or is not what was written."""

    def __init__(self, path: Location, problem: str) -> None:
        """Name the file and the remedy.

        Args:
            path: The Parquet file.
            problem: What is wrong, as the predicate of a sentence about the file ("is missing").
        """
        super().__init__(
            f"the documents file {path} {problem}: restore it from a backup, or make the documents again with "
            "`wetstream replay --from topic`"
        )
        self.path = path
