"""Sources summed by crawl and by segment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

SUMMED = ("produced", "records", "documents", "tokens", "payload_bytes")
OTHER = "other sources"


def group_sources(rows: Sequence[Mapping[str, Any]], by: str) -> list[dict[str, Any]]:
    """A row a crawl or a segment (`by`), in their order: sources, how many are done, sums, rejected."""
    groups: dict[str, dict[str, Any]] = {}
    for row in rows:
        name = row.get(by) or OTHER
        into = groups.setdefault(
            name, {"name": name, "sources": 0, "done": 0, **dict.fromkeys(SUMMED, 0), "rejected": 0}
        )
        into["sources"] += 1
        into["done"] += row.get("state") in ("done", "damaged")
        for field in SUMMED:
            into[field] += row.get(field) or 0
        into["rejected"] += sum(row["rejected"].values())
    return [groups[name] for name in sorted(groups)]
