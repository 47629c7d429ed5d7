"""Documents rows for tests, and reading back what Redis holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st
from redis import Redis

from sinks.documents.hosts import host_of
from sinks.documents.schema import DOCUMENTS
from sinks.keys import STATISTICS, Keys
from sinks.statistics.derive import derive
from sinks.statistics.sums import Sums

WORDS = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "été", "日本"]


@st.composite
def documents(draw: st.DrawFn, max_size: int = 12) -> list[dict[str, Any]]:
    """Documents rows, kept and rejected ones, of two sources, some without URL, date or language."""
    rows = []
    for number in range(draw(st.integers(0, max_size))):
        bag = draw(st.dictionaries(st.sampled_from(WORDS), st.integers(1, 5), max_size=6))
        reason = draw(st.sampled_from([None, None, None, "too_few_words", "not_conversion", "truncated"]))
        rows.append(row(number, bag if reason is None else None, reason, source=draw(st.sampled_from("ab"))))
    return rows


def row(number: int, bag: Mapping[str, int] | None, reason: str | None = None, source: str = "a") -> dict[str, Any]:
    """One documents row, at topic partition 0."""
    urls = ["http://example.org/x", "https://a.b.co.uk:80/?q", "http://127.0.0.1/", None]
    return {
        "source": source,
        # Without a place: rows of any sources in any order need not form chains.
        **dict.fromkeys(("record_offset", "inner_offset", "next_offset", "next_inner"), -1),
        "topic_partition": 0,
        "topic_offset": number,
        "records": 1,
        "record_id": f"<urn:{number}>",
        "url": urls[number % len(urls)],
        "host": host_of(urls[number % len(urls)]),
        "date": None,
        "language": [None, "eng"][number % 2],
        "language_method": None,
        "reason": reason,
        "tokens": sum(bag.values()) if bag else 0,
        "words": None if bag is None else list(bag),
        "counts": None if bag is None else list(bag.values()),
        "payload_bytes": 10 + number,
    }


def sums_of(rows: Sequence[Mapping[str, Any]]) -> Sums:
    """What the rows add up to."""
    batch = pa.RecordBatch.from_pylist([dict(r) for r in rows], schema=DOCUMENTS)
    return derive([batch])


def held(client: Redis, keys: Keys) -> dict[str, Any]:
    """All that Redis holds below a prefix but for times."""
    found: dict[str, Any] = {}
    for name in STATISTICS:
        key = f"{keys.prefix}{name}"
        if name == "position":
            found[name] = client.get(key)
        elif name == "top":
            found[name] = client.zrange(key, 0, -1, withscores=True)
        elif name != "as_of":
            found[name] = client.hgetall(key)
    return found


def expected_words(rows: Sequence[Mapping[str, Any]]) -> tuple[Counter[str], Counter[str]]:
    """Term and document frequencies, counted plainly."""
    tf: Counter[str] = Counter()
    df: Counter[str] = Counter()
    for r in rows:
        for word, n in zip(r["words"] or (), r["counts"] or (), strict=True):
            tf[word] += n
            df[word] += 1
    return tf, df
