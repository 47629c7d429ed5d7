"""The statistics recounted from the documents table by DuckDB: no line of it is shared with the sink.

What it gives is compared with Redis (`serving.verify.compare`), so a fault would have to be made twice, in two
engines, to stay hidden.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa

from conf.reasons import PAGE_REASONS
from sinks.documents.parquet_files import ParquetFiles

# By name as in Redis: rows of (field, value).
COUNTS = {
    "totals": """
        select unnest(['records', 'documents', 'tokens', 'payload_bytes']) as field,
               unnest([sum(records), count(*) filter (reason is null), sum(tokens), sum(payload_bytes * records)]) as n
        from documents""",
    "lengths": "select tokens::varchar as field, count(*) as n from documents where reason is null group by all",
    "reasons": "select reason as field, sum(records) as n from documents where reason is not null group by all",
    "sources": """
        select 'records' || chr(9) || source as field, sum(records) as n from documents group by source
        union all select 'documents' || chr(9) || source, count(*) from documents where reason is null group by source
        union all select 'tokens' || chr(9) || source, sum(tokens) from documents group by source
        union all select 'payload_bytes' || chr(9) || source, sum(payload_bytes * records) from documents
                  group by source
        union all select 'rejected' || chr(9) || reason || chr(9) || source, sum(records) from documents
                  where reason is not null group by source, reason""",
    "languages": """
        select kind || chr(9) || coalesce(language, 'unknown') as field, count(*) as n from pages group by all""",
    "tlds": "select kind || chr(9) || tld as field, count(*) as n from pages group by all",
    "days": """
        select kind || chr(9) || coalesce(strftime(date at time zone 'UTC', '%Y-%m-%d'), 'unknown') as field,
               count(*) as n from pages group by all""",
    "df_words": "select df::varchar as field, count(*) as n from words group by all",
    "df_tokens": "select df::varchar as field, sum(tf) as n from words group by all",
}

TLD_OF = """
create or replace macro tld_of(host) as
    case when host is null then 'unknown'
         when host like '[%' or regexp_full_match(split_part(host, '.', -1), '[0-9]+') then 'address'
         else split_part(host, '.', -1) end
"""
VIEWS = """
create view documents as select * from read_parquet({files}) where {condition};
create table words as
    select word, sum(n)::bigint as tf, count(*)::bigint as df
    from (select unnest(words) as word, unnest(counts) as n from documents where reason is null) group by word;
create view judged as
    select *, tld_of(host) as tld from documents where reason is null or reason in {page_reasons};
create view pages as
    select 'pages' as kind, * from judged
    union all select 'documents' as kind, * from judged where reason is null;
"""

# Row by row, added up, so that neither the order of the rows nor their files matter; a row that takes another back
# (records = -1) cancels it. Positions in the topic and times of processing are not in it.
DOCUMENTS_DIGEST = """
select coalesce(sum(records * md5_number_lower(to_json(struct_pack(
    source, record_offset, inner_offset, record_id, url, at := date::varchar, language, language_method, reason, tokens,
    words, counts, payload_bytes))::varchar)::hugeint), 0)::varchar from documents"""
WORDS_DIGEST = (
    "select coalesce(sum(md5_number_lower(word || chr(9) || tf || chr(9) || df)::hugeint), 0)::varchar from words"
)

DOUBLED = """
select 'topic partition ' || topic_partition || ' offset ' || topic_offset || ': in the table ' || count(*) || ' times'
from documents where topic_offset is not null group by topic_partition, topic_offset having count(*) <> 1
limit 20"""


@dataclass(frozen=True)
class Recount:
    """Every additive statistic, counted from the documents.

    `counts` is by name and field, `words` has the columns word, tf and df, `doubled` names records that are not there
    exactly once, and `digest` covers all of it: equal for equal documents.
    """

    counts: dict[str, dict[str, int]]
    words: pa.Table
    doubled: list[str]
    digest: str


def recount(files: ParquetFiles, condition: str = "true") -> Recount:
    """Count the documents in these Parquet files (none: an empty table).

    Args:
        files: The files.
        condition: In DuckDB's SQL, on columns of the documents: only rows for which it holds.
    """
    with files.connect() as connection:
        if not files:
            return Recount({name: {} for name in COUNTS}, no_words(), [], _digest({}, "0", "0"))
        counts, words = count_documents(connection, files, condition)
        doubled = [what for (what,) in connection.execute(DOUBLED).fetchall()]
        sums = [_one(connection, query) for query in (DOCUMENTS_DIGEST, WORDS_DIGEST)]
        return Recount(counts, words, doubled, _digest(counts, *sums))


def count_documents(
    connection: duckdb.DuckDBPyConnection, files: ParquetFiles, condition: str = "true"
) -> tuple[dict[str, dict[str, int]], pa.Table]:
    """Count the documents in Parquet files, without their digest.

    Args:
        connection: A fresh one, from `files.connect`.
        files: At least one file.
        condition: As in `recount`.

    Returns:
        `counts` and `words` as in Recount.
    """
    connection.execute("set preserve_insertion_order = false")  # less to hold in memory
    connection.execute(TLD_OF)
    connection.execute(VIEWS.format(files=files.sql_list, condition=condition, page_reasons=PAGE_REASONS))
    counts = {}
    for name, query in COUNTS.items():
        rows = connection.execute(query).fetchall()
        counts[name] = {field: int(n) for field, n in rows if n}
    words = connection.sql("select word, tf, df from words order by word").to_arrow_table()
    counts["totals"]["words"] = words.num_rows
    return counts, words


def _digest(counts: dict[str, dict[str, int]], documents: str, words: str) -> str:
    digest = hashlib.sha256(f"{documents}\n{words}\n".encode())
    for name in sorted(counts):
        for field, n in sorted(counts[name].items()):
            digest.update(f"{name}\t{field}\t{n}\n".encode())
    return digest.hexdigest()


def _one(connection: duckdb.DuckDBPyConnection, query: str) -> str:
    row: Any = connection.execute(query).fetchone()
    return str(row[0])


def no_words() -> pa.Table:
    """Return an empty table of words."""
    return pa.table({"word": pa.array([], pa.string()), "tf": pa.array([], pa.int64()), "df": pa.array([], pa.int64())})
