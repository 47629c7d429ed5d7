"""Pages that come again, counted once: a view like thresholds are, over rows that all stay in the documents table."""

from __future__ import annotations

from enum import StrEnum

from conf.reasons import PAGE_REASONS


class Once(StrEnum):
    """Which pages are the same, and which of them counts."""

    URL = "url"
    URL_LATEST = "url-latest"
    BAG = "bag"
    BAG_LATEST = "bag-latest"


# Like the key of Common Crawl's index (SURT), without its rules for session ids and upper case.
URL_KEY = r"""
create or replace macro url_key(url, host) as
    case when host is null or not regexp_matches(url, '^[^:/?#]+://') then url
         else regexp_replace(host, '^www[0-9]*[.]', '')
              || regexp_replace(
                     regexp_extract(regexp_extract(url, '^[^:/?#]+://([^/?#\\]*)', 1), ':[0-9]+$'), '^:(80|443)$', '')
              || rtrim(regexp_extract(url, '^[^:/?#]+://[^/?#\\]*([^?#]*)', 1), '/')
              || regexp_extract(url, '^[^?#]*([?][^#]*)', 1) end
"""
KEYS = {
    "url": ("url_key(url, host)", f"url is not null and (reason is null or reason in {PAGE_REASONS})"),
    "bag": ("md5(words::varchar || counts::varchar)", "reason is null"),
}
# A capture that was kept counts rather than one that was rejected; the place of a record decides between equals.
REPEATED = """
create or replace table repeated as
select source, record_offset, inner_offset from (
    select source, record_offset, inner_offset, row_number() over (
        partition by {key}
        order by reason is not null, date {order} nulls last,
                 source {order}, record_offset {order}, inner_offset {order}
    ) as place
    from read_parquet({files}) where {condition} and {among})
where place > 1
"""
NOT_REPEATED = (
    "row(source, record_offset, inner_offset) not in (select row(source, record_offset, inner_offset) from repeated)"
)


def find_repeated(once: Once, files: str, condition: str) -> list[str]:
    """Return the statements in DuckDB's SQL that fill the table `repeated`, which NOT_REPEATED refers to.

    Args:
        once: Which pages are the same, and which of them counts.
        files: The Parquet files, as a list in SQL.
        condition: On their rows: those among which a page counts once.
    """
    same, _, latest = once.value.partition("-")
    key, among = KEYS[same]
    order = "desc" if latest else "asc"
    return [URL_KEY, REPEATED.format(key=key, among=among, order=order, files=files, condition=condition)]
