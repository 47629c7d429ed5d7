"""Sums of documents rows, for micro-batches, catching up and rebuilds alike."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pyarrow as pa
import pyarrow.compute as pc

from conf.reasons import PAGE_REASONS
from sinks.documents.hosts import UNKNOWN, tld_of
from sinks.statistics.sums import KEPT, THREADS, SourceCount, Sums, add_page_counts, sum_words
from sinks.statistics.word_counts import count_words

MERGE_TABLES = 32


def derive(batches: Iterable[pa.RecordBatch]) -> Sums:
    """Add up documents rows.

    Args:
        batches: Rows in the columns of `sinks.documents.schema.DOCUMENTS`; `words` may be dictionary-encoded.
    """
    sums = Sums()
    words: list[pa.Table] = []
    with ThreadPoolExecutor(THREADS) as threads:
        for counts, counted in _in_order(threads, batches):
            sums.add_counts(counts)
            words.append(counted)
            if len(words) >= MERGE_TABLES:
                words = [sum_words(words)]
    sums.words = sum_words(words)
    return sums


def _in_order(threads: ThreadPoolExecutor, batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[Sums, pa.Table]]:
    """Yield the sums of each batch in order, computed in several threads; Arrow and numpy release the GIL."""
    waiting: deque[Future[tuple[Sums, pa.Table]]] = deque()
    for batch in batches:
        waiting.append(threads.submit(_derive_one, batch))
        if len(waiting) > THREADS:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _derive_one(batch: pa.RecordBatch) -> tuple[Sums, pa.Table]:
    counts = Sums()
    derive_counts(pa.Table.from_batches([batch]), counts)
    return counts, count_words(batch)


def derive_counts(rows: pa.Table, into: Sums) -> None:
    """Add up everything but the words.

    Args:
        rows: Columns source, reason, records, tokens, payload_bytes, language, host and date.
        into: Sums to add to.
    """
    # Decoded and widened once, so that the sums below cannot overflow or compare different types.
    records = rows["records"].cast(pa.int64())
    reason = pc.fill_null(rows["reason"].cast(pa.string()), KEPT)
    source = rows["source"].cast(pa.string())
    counted = pa.table(
        {
            "source": source,
            "reason": reason,
            "records": records,
            "tokens": pc.multiply(rows["tokens"].cast(pa.int64()), records),
            "payload_bytes": pc.multiply(rows["payload_bytes"], records),
        }
    )
    by = counted.group_by(["source", "reason"], use_threads=False)
    grouped = by.aggregate([("records", "sum"), ("tokens", "sum"), ("payload_bytes", "sum")])
    for row in grouped.to_pylist():
        count = SourceCount(row["records_sum"], row["tokens_sum"], row["payload_bytes_sum"])
        into.add_source(row["source"], row["reason"], count)

    kept = pc.equal(reason, KEPT)
    for entry in pc.value_counts(rows["tokens"].filter(kept)).to_pylist():
        into.lengths[entry["values"]] += entry["counts"]

    page = pc.or_(kept, pc.is_in(reason, pa.array(PAGE_REASONS)))
    pages = pa.table(
        {
            "kept": kept,
            "language": pc.fill_null(rows["language"].cast(pa.string()), UNKNOWN),
            "tld": tld_of(rows["host"]),
            "day": pc.fill_null(pc.strftime(rows["date"], "%Y-%m-%d"), UNKNOWN),
        }
    ).filter(page)
    for column, counts in (("language", into.languages), ("tld", into.tlds), ("day", into.days)):
        grouped = pages.group_by(column, use_threads=False).aggregate([("kept", "count"), ("kept", "sum")])
        for row in grouped.to_pylist():
            add_page_counts(counts, row[column], row["kept_count"], row["kept_sum"] or 0)
