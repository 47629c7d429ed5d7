"""Are the live statistics what the documents table says? The guarantees, checked on the live data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

from redis import Redis

from conf.errors import counted
from serving.verify.chain import MAX_FAULTS, SourceEnd, chain_faults
from serving.verify.compare import differences
from serving.verify.recount import recount
from sinks.documents.table import Documents
from sinks.keys import Keys, live_key
from sinks.position import canonical
from sinks.statistics.owner import Owner


@dataclass(frozen=True)
class Verification:
    """The outcome of `verify`.

    Attributes:
        digest: Over everything additive: the same for the same records, however they came in.
        faulty_sources: Sources whose records are not all in the documents table exactly once.
    """

    ok: bool
    digest: str
    differences: list[str]
    records: int
    version: int
    faulty_sources: list[str] = field(default_factory=list)


def verify(
    client: Redis, pipeline: str, documents: Documents, ends: Mapping[str, SourceEnd | None] | None = None
) -> Verification:
    """Recount the documents table, compare with Redis, find records that are not there exactly once.

    Run while a stream writes, Redis may be a micro-batch behind the table; the difference then says so.

    Args:
        client: Redis.
        pipeline: Name of the pipeline.
        documents: The documents table.
        ends: Where the records of each source have to end (see `chain_faults`).
    """
    documents.check_files()  # DuckDB does not verify the checksums of Parquet pages
    files = documents.parquet_files()
    recounted = recount(files)
    found = [f"documents: {what}" for what in recounted.doubled]
    faults = chain_faults(files, ends)
    found += [f"source {fault.source}: {fault.what}" for fault in faults[:MAX_FAULTS]]
    if faults:
        found.append(
            f"{counted(len(faults), 'such fault')}: `wetstream repair` mends {'it' if len(faults) == 1 else 'them'}"
        )
    prefix = cast("bytes | None", client.get(live_key(pipeline)))
    if prefix is None:
        found.append(
            "Redis holds no statistics of this pipeline (the next stream, or `wetstream rebuild`, counts them)"
        )
    else:
        keys = Keys(prefix.decode())
        owner = Owner.read(client, keys)
        if owner is not None and not owner.has_same_documents(Owner.of(documents)):
            found.append(f"Redis holds the statistics of other documents ({owner.path}), not of {documents.location}")
        stored = cast("bytes | None", client.get(keys.position)) or b""
        if stored.decode() != canonical(documents.position()):
            found.append(
                f"position: Redis has counted up to {stored.decode() or 'nothing'}, the documents table stands at "
                f"{canonical(documents.position()) or 'nothing'} (a stream is writing, or Redis waits to be healed)"
            )
        found += differences(client, keys, recounted)
    records = recounted.counts["totals"].get("records", 0)
    faulty = sorted({fault.source for fault in faults})
    return Verification(not found, recounted.digest, found, records, documents.version, faulty)
