"""Creates and opens the Delta table of a generation, wherever it is."""

from __future__ import annotations

from collections.abc import Mapping

from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from sinks.documents.errors import DocumentsError
from sinks.documents.schema import DOCUMENTS, SCHEMA_VERSION
from sinks.storage.location import Location

CHECKPOINT_INTERVAL = "100"


def create_table(location: Location, properties: Mapping[str, str]) -> DeltaTable:
    """Create an empty table; `properties` of the generation are kept in its metadata."""
    configuration = {f"wetstream.{name}": value for name, value in properties.items()}
    configuration["wetstream.schema_version"] = str(SCHEMA_VERSION)
    configuration["delta.checkpointInterval"] = CHECKPOINT_INTERVAL
    with location.explaining():
        return DeltaTable.create(
            location.uri,
            schema=DOCUMENTS,
            mode="error",
            configuration=configuration,
            storage_options=location.storage_options,
            raise_if_key_not_exists=False,
        )


def load_table(location: Location, version: int | None = None) -> DeltaTable:
    """Load a version of a table, the newest one without a number. Raises DeltaError, TableNotFoundError, OSError."""
    with location.explaining():
        return DeltaTable(location.uri, version=version, storage_options=location.storage_options)


def open_table(location: Location) -> DeltaTable:
    """Open a table.

    Raises:
        DocumentsError: There is no table at `location`, or it cannot be read.
    """
    try:
        return load_table(location)
    except TableNotFoundError:
        raise DocumentsError(
            f"{location} is no documents table (it has no Delta log): restore it from a backup, or move the folder "
            "away to start from scratch"
        ) from None
    except DeltaError as error:
        raise DocumentsError(
            f"the documents table {location} cannot be read ({str(error).splitlines()[0]}): restore it from a "
            "backup, or move the folder away to start from scratch"
        ) from error
