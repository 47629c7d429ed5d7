"""Rows that older versions wrote, as rows of this version.

Version 2 added the host of the URL, version 3 the place of the record after each one, version 4 gave `tokens` 64 bits.

The place of the next record was not kept before version 3. It is taken from the rows: the next one of the same source.
Behind the last one nothing is known but that it ends later. What `verify` finds in such rows are doubled records and
none that are missing, which is all that an older version could find.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from conf.reasons import TRUNCATED
from sinks.documents.files import read_document_file
from sinks.documents.hosts import hosts_of
from sinks.documents.schema import DOCUMENTS, SCHEMA_VERSION
from sinks.documents.table import WORDS, Documents

if TYPE_CHECKING:
    import duckdb

WITH_HOST = 2
WITH_NEXT = 3
WITH_LONG_TOKENS = 4
NEXT = ("next_offset", "next_inner")

# A stub of a cut record and its retraction are followed by their own place: the record may still become whole.
# Foreign messages have no place: -1.
SUCCESSORS = """
create temp table successors as
with found as (
    select parse_filename(filename) as file, file_row_number as row, source, record_offset as o, inner_offset as i,
           records = -1 or coalesce(reason = '{truncated}', false) as cut
    from read_parquet({files}, filename = true, file_row_number = true)
), places as (
    select *, lead(o) over place as next_o, lead(i) over place as next_i
    from (select distinct source, o, i from found where o >= 0)
    window place as (partition by source order by o, i)
)
select file, row,
       case when o < 0 then -1 when cut then o else coalesce(next_o, o) end as next_offset,
       case when o < 0 then -1 when cut then i else coalesce(next_i, i + 1) end as next_inner
from found left join places using (source, o, i) order by file, row
"""


def schema_of(version: int) -> pa.Schema:
    """The columns of a schema version, from 1 to the present one."""
    fields = []
    for field in DOCUMENTS:
        if (version < WITH_HOST and field.name == "host") or (version < WITH_NEXT and field.name in NEXT):
            continue
        fields.append(field.with_type(pa.int32()) if version < WITH_LONG_TOKENS and field.name == "tokens" else field)
    return pa.schema(fields)


class OldRows:
    """Reads the files of a table of an earlier version as rows of this one."""

    def __init__(self, documents: Documents, connection: duckdb.DuckDBPyConnection | None) -> None:
        self._documents = documents
        self._connection = connection
        self._schema = schema_of(documents.schema_version)

    @classmethod
    @contextmanager
    def of(cls, documents: Documents) -> Iterator[OldRows]:
        """Open the rows of a table of any version up to this one."""
        files = documents.parquet_files()
        if documents.schema_version >= WITH_NEXT or not files:
            yield cls(documents, None)
            return
        with files.connect() as connection:
            connection.execute(SUCCESSORS.format(files=files.sql_list, truncated=TRUNCATED))
            yield cls(documents, connection)

    def read(self, file: Mapping[str, Any], *, without_topic: bool) -> pa.Table:
        """Read all rows of one of the table's `files()`.

        Args:
            file: The file.
            without_topic: Leave out where the rows are in the topic.

        Raises:
            DamagedFileError: The file is missing, or is not what was written.
        """
        rows = read_document_file(
            self._documents.location / file["path"],
            dictionaries=[WORDS, "source"],
            size=file["size_bytes"],
            rows=file["num_records"],
            schema=self._schema,
        )
        columns = {name: rows[name] for name in rows.column_names}
        if "host" not in columns:
            columns["host"] = hosts_of(rows["url"].to_pylist())
        if self._connection is not None:
            found = self._connection.execute(
                "select next_offset, next_inner from successors where file = ? order by row", [file["path"]]
            ).to_arrow_table()
            columns |= {name: found[name] for name in NEXT}
        if without_topic:
            for name in ("topic_partition", "topic_offset"):
                columns[name] = pa.nulls(rows.num_rows, DOCUMENTS.field(name).type)
        columns["tokens"] = rows["tokens"].cast(pa.int64())
        return pa.table({field.name: columns[field.name] for field in DOCUMENTS})


assert SCHEMA_VERSION == WITH_LONG_TOKENS, "say here how rows of the version before become rows of the new one"
