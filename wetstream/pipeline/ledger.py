"""The ledger: each source from file to statistic, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from producers.sources.identity import crawl_and_segment
from producers.topic.markers import COMPLETE, Marker


def ledger(counted: Sequence[Mapping[str, Any]], markers: Mapping[str, Marker] | None) -> list[dict[str, Any]]:
    """A row a source: what was produced (None when the broker was not asked), processed, kept and rejected.

    `state`: ingesting, streaming (the topic is ahead of the statistics), truncated, damaged or done.
    """
    by_source = {row["source"]: dict(row) for row in counted}
    for source in markers or {}:
        by_source.setdefault(
            source,
            {"source": source, "records": 0, "documents": 0, "tokens": 0, "payload_bytes": 0, "rejected": {}},
        )
    rows = []
    for source in sorted(by_source):
        row = by_source[source]
        marker = (markers or {}).get(source)
        crawl, segment = crawl_and_segment(source)
        row |= {
            "crawl": crawl,
            "segment": segment,
            "state": _state(marker, row["records"]),
            "produced": marker.records if marker else row["records"],
            "produced_bytes": marker.raw_bytes if marker else None,
            "updated": marker.updated if marker else None,
            "size_bytes": marker.fingerprint.size if marker else None,
            "read_bytes": _read_bytes(marker) if marker else None,
        }
        rows.append(row)
    return rows


def _state(marker: Marker | None, processed: int) -> str:
    if marker is None:
        return "done"
    if marker.state in COMPLETE and processed < marker.records:
        return "streaming"
    return marker.state


def _read_bytes(marker: Marker) -> int:
    """How much of the file is in the topic; a marker of a source that is done need not stand at its last byte."""
    return marker.fingerprint.size if marker.state in COMPLETE else marker.place.member
