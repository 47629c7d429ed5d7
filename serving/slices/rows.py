"""The rows of the documents table that a slice holds, for readers that go through its files themselves."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from serving.slices.count import condition_of
from serving.slices.slice import Slice
from serving.unreadable import unreadable_explained
from sinks.documents.table import Documents


def kept_rows(documents: Documents, wanted: Slice, condition: str = "true") -> dict[str, NDArray[np.int64]]:
    """Return the numbers of the rows of kept documents in a slice, by the path of their file, ascending.

    Args:
        documents: The table at the version that is meant; `wanted.as_of` is not looked at.
        wanted: The slice.
        condition: Another condition in DuckDB's SQL.

    Raises:
        SliceError: It names a source that the table does not hold.
        DamagedFileError: A file is missing or damaged.
    """
    files = documents.parquet_files()
    if not files:
        return {}
    with unreadable_explained(), documents.naming_damage(), files.connect() as connection:
        condition = f"{condition_of(connection, files, wanted)} and ({condition})"
        found = connection.execute(
            "select filename, file_row_number from "
            f"read_parquet({files.sql_list}, filename = true, file_row_number = true) "
            f"where reason is null and {condition} order by all"
        ).fetchnumpy()
    paths = {location.uri: location.name for location in files.locations}
    names, numbers = np.asarray(found["filename"]), np.asarray(found["file_row_number"], np.int64)
    selection: dict[str, NDArray[np.int64]] = {}
    if len(names):
        bounds = [0, *(np.flatnonzero(names[1:] != names[:-1]) + 1).tolist(), len(names)]
        for low, high in pairwise(bounds):
            selection[paths[str(names[low])]] = numbers[low:high]
    return selection


def kept_by_source(documents: Documents, wanted: Slice, condition: str = "true") -> dict[str, int]:
    """Return how many kept documents each source has in a slice. Args and raises as `kept_rows`."""
    files = documents.parquet_files()
    if not files:
        return {}
    with unreadable_explained(), documents.naming_damage(), files.connect() as connection:
        condition = f"{condition_of(connection, files, wanted)} and ({condition})"
        rows = connection.execute(
            f"select source, count(*) filter (reason is null and {condition}) as kept from read_parquet(?) "
            "group by source having kept > 0 order by source",
            [files.uris],
        ).fetchall()
    return {source: int(kept) for source, kept in rows}
