"""The chain of each source's records, checked by DuckDB: no place twice, none missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from conf.errors import counted
from sinks.documents.chain import ChainRow, Span
from sinks.documents.parquet_files import ParquetFiles

MAX_FAULTS = 20

# A row that takes another back (a retraction) leaves neither. Foreign messages have no place: -1.
LINKS = """
create temp table links as
select source, record_offset, inner_offset, next_offset, next_inner, sum(records)::bigint as n
from read_parquet({files}) where record_offset >= 0 group by all having sum(records) <> 0
"""
# Each row against the one before it, the first against the beginning of the source.
FAULTS = """
with ordered as (
    select *, coalesce(lag(next_offset) over w, 0) as end_offset, coalesce(lag(next_inner) over w, 0) as end_inner
    from links
    window w as (partition by source order by record_offset, inner_offset, next_offset, next_inner)
)
select source, record_offset, inner_offset, end_offset, end_inner, n from ordered
where n <> 1 or end_offset <> record_offset or end_inner <> inner_offset
order by source, record_offset, inner_offset
"""
ENDS = """
select source, last.o, last.i from (
    select source, max(struct_pack(o := next_offset, i := next_inner)) as last from links group by source)
"""


ROWS = """
select record_offset, inner_offset, next_offset, next_inner, records, coalesce(topic_partition, -1),
       coalesce(topic_offset, -1), md5(to_json(struct_pack(
           record_id, url, at := date::varchar, language, language_method, reason, tokens, words, counts,
           payload_bytes))::varchar)
from read_parquet({files}) where source = ? and record_offset >= 0
"""


@dataclass(frozen=True, slots=True)
class ChainFault:
    """Something that is wrong with the records of a source, and the sentence that says what and where."""

    source: str
    what: str


@dataclass(frozen=True, slots=True)
class SourceEnd:
    """Where the records of a source end, by its progress marker; `growing`: by now they may end further on."""

    place: tuple[int, int]
    growing: bool = False


def chain_faults(files: ParquetFiles, ends: Mapping[str, SourceEnd | None] | None = None) -> list[ChainFault]:
    """Find records that are in the documents table twice, or missing.

    Args:
        files: The table's Parquet files.
        ends: By source, where its records have to end, None for any place; a source that is not named is a fault. None
            if that is not known, or not everything is in the table yet: each source is then checked in itself.
    """
    found: dict[str, tuple[int, int]] = {}
    faults: list[ChainFault] = []
    if files:
        with files.connect() as connection:
            connection.execute(LINKS.format(files=files.sql_list))
            for source, offset, inner, end_offset, end_inner, n in connection.execute(FAULTS).fetchall():
                faults.append(ChainFault(source, _fault((offset, inner), (end_offset, end_inner), n)))
            found = {source: (offset, inner) for source, offset, inner in connection.execute(ENDS).fetchall()}
    if ends is not None:
        strangers = sorted(found.keys() - ends.keys())
        faults += [ChainFault(source, "no producer has ingested it") for source in strangers]
    for source, end in (ends or {}).items():
        if end is None:
            continue
        at = found.get(source, (0, 0))
        if at < end.place:
            faults.append(ChainFault(source, f"records are missing from {_text(at)} to its end at {_text(end.place)}"))
        elif at > end.place and not end.growing:
            faults.append(ChainFault(source, f"records from {_text(end.place)} to {_text(at)} are behind its end"))
    return faults


def chain_rows(files: ParquetFiles, source: str) -> list[ChainRow]:
    """The rows of a source as links of its chain; those that were read from its file have no position, (-1, -1)."""
    if not files:
        return []
    with files.connect() as connection:
        found = connection.execute(ROWS.format(files=files.sql_list), [source]).fetchall()
    return [
        ChainRow(Span((o, i), (next_o, next_i)), n, (p, at), content)
        for o, i, next_o, next_i, n, p, at, content in found
    ]


def _fault(place: tuple[int, int], before: tuple[int, int], n: int) -> str:
    if before < place:
        return f"records are missing from {_text(before)} to {_text(place)}"
    if before > place:
        return f"the record at {_text(place)} begins before the one before it ends, at {_text(before)}"
    return f"the record at {_text(place)} is counted {counted(n, 'time')}"


def _text(place: tuple[int, int]) -> str:
    return f"{place[0]:,}" + (f"+{place[1]:,}" if place[1] else "")
