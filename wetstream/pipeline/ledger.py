"""The ledger: each source from file to statistics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from producers.sources.identity import crawl_and_segment
from producers.topic.markers import COMPLETE, Marker
from serving.answers.sources import Source, SourceCounts


def ledger(counted: Sequence[SourceCounts], markers: Mapping[str, Marker] | None) -> list[Source]:
    """Join what has been counted of the sources with what was produced of them.

    Args:
        counted: From the statistics.
        markers: The producers' last markers by source; None when no broker was asked.

    Returns:
        A row for each source that either knows, in order of their names. The state is ingesting, streaming (the topic
        is ahead of the statistics), truncated, damaged or done.
    """
    by_source = {row["source"]: row for row in counted}
    markers = markers or {}
    return [
        _row(by_source.get(source) or _uncounted(source), markers.get(source))
        for source in sorted(by_source.keys() | markers.keys())
    ]


def _row(counts: SourceCounts, marker: Marker | None) -> Source:
    crawl, segment = crawl_and_segment(counts["source"])
    return {
        **counts,
        "crawl": crawl,
        "segment": segment,
        "state": _state(marker, counts["records"]),
        "produced": marker.records if marker else counts["records"],
        "produced_bytes": marker.raw_bytes if marker else None,
        "updated": marker.updated if marker else None,
        "size_bytes": marker.fingerprint.size if marker else None,
        "read_bytes": _read_bytes(marker) if marker else None,
    }


def _uncounted(source: str) -> SourceCounts:
    return {"source": source, "records": 0, "documents": 0, "tokens": 0, "payload_bytes": 0, "rejected": {}}


def _state(marker: Marker | None, processed: int) -> str:
    if marker is None:
        return "done"
    if marker.state in COMPLETE and processed < marker.records:
        return "streaming"
    return marker.state


def _read_bytes(marker: Marker) -> int:
    """How much of the file is in the topic; the marker of a source that is done need not be at its last byte."""
    return marker.fingerprint.size if marker.state in COMPLETE else marker.place.member
