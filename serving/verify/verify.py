"""Are the live statistics what the documents table says? The guarantees, checked on the live data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from redis import Redis

from serving.verify.compare import differences
from serving.verify.recount import recount
from sinks.documents.table import Documents
from sinks.keys import Keys, live_key
from sinks.position import canonical
from sinks.statistics.owner import Owner


@dataclass(frozen=True)
class Verification:
    """`digest` is over everything additive: the same for the same records, however they came in."""

    ok: bool
    digest: str
    differences: list[str]
    records: int
    version: int


def verify(client: Redis, pipeline: str, documents: Documents) -> Verification:
    """Recount the documents table, compare with Redis, look for records that are not there exactly once.

    Run while a stream writes, Redis may be a micro-batch behind the table; the difference then says so.
    """
    counted = recount(documents.file_paths())
    found = [f"documents: {what}" for what in counted.doubled]
    prefix = cast("bytes | None", client.get(live_key(pipeline)))
    if prefix is None:
        found.append(
            "Redis holds no statistics of this pipeline (the next stream, or `wetstream rebuild`, counts them)"
        )
    else:
        keys = Keys(prefix.decode())
        owner = Owner.read(client, keys)
        if owner is not None and not owner.has_same_documents(Owner.of(documents)):
            found.append(f"Redis holds the statistics of other documents ({owner.path}), not of {documents.path}")
        stored = cast("bytes | None", client.get(keys.position)) or b""
        if stored.decode() != canonical(documents.position()):
            found.append(
                f"position: Redis has counted up to {stored.decode() or 'nothing'}, the documents table stands at "
                f"{canonical(documents.position()) or 'nothing'} (a stream is writing, or Redis waits to be healed)"
            )
        found += differences(client, keys, counted)
    return Verification(not found, counted.digest, found, counted.counts["totals"].get("records", 0), documents.version)
