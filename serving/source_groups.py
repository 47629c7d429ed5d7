"""Sources summed by crawl or by segment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from serving.answers.sources import Source, SourceGroup

OTHER = "other sources"


def group_sources(rows: Sequence[Source], by: Literal["crawl", "segment"]) -> list[SourceGroup]:
    """Sum sources by crawl or by segment, in order of the names; sources without one are grouped under OTHER."""
    groups: dict[str, SourceGroup] = {}
    for row in rows:
        name = row[by] or OTHER
        group = groups.get(name)
        if group is None:
            group = groups[name] = {
                "name": name,
                "sources": 0,
                "done": 0,
                "produced": 0,
                "records": 0,
                "documents": 0,
                "tokens": 0,
                "payload_bytes": 0,
                "rejected": 0,
            }
        group["sources"] += 1
        group["done"] += row["state"] in ("done", "damaged")
        group["produced"] += row["produced"] or 0
        group["records"] += row["records"]
        group["documents"] += row["documents"]
        group["tokens"] += row["tokens"]
        group["payload_bytes"] += row["payload_bytes"]
        group["rejected"] += sum(row["rejected"].values())
    return [groups[name] for name in sorted(groups)]
