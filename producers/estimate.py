"""The plan of `--dry-run`: what an ingestion would do, and roughly how long it would take. Writes nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import lz4.frame

from conf.settings import ProducerSettings
from producers.plan import READS, PlanAction, plan_source
from producers.sources.files import fingerprint
from producers.sources.opening import open_source
from producers.sources.source import Source
from producers.sources.urls import is_url
from producers.topic.markers import Marker, SourceState
from producers.wet.file_buffer import no_check
from producers.wet.items import Record
from producers.wet.records import NotWetError, WetReader

SAMPLED_SOURCES = 3
SAMPLE_BYTES = 8 << 20
BATCH_BYTES = 1 << 20
# Share of a producer's time that reading and compressing take; the rest is the client and the broker.
READING_SHARE = 0.5
START_S = 2.0


@dataclass(frozen=True, slots=True)
class PlannedSource:
    """What an ingestion would do with a source.

    Attributes:
        source: Its identity.
        location: Where it is, without secrets.
        action: What would be done.
        message: Why, if it would not be read.
        bytes: Size of the file.
        left_bytes: How much of the file would be read.
    """

    source: str
    location: str
    action: PlanAction
    message: str
    bytes: int
    left_bytes: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """Sums over the sources that would be read; `seconds` is None if none of them could be sampled."""

    sources: int
    file_bytes: int
    raw_bytes: int
    topic_bytes: int
    seconds: float | None


def plan_all(
    sources: Sequence[Source],
    markers: Mapping[str, Marker],
    settings: ProducerSettings,
    *,
    allow_copies: bool = False,
    check: Callable[[], None] = no_check,
) -> Iterator[PlannedSource]:
    """Yield the plan of each source, in order; a source that cannot be read is REFUSED. `check` as for WetReader."""
    for source in sources:
        if source.problem is not None:
            yield PlannedSource(source.id, source.name, PlanAction.REFUSED, source.problem, 0, 0)
            continue
        known = markers.get(source.id)
        if known is not None and known.state is SourceState.DONE and is_url(source.location):
            # Not opened again: a dry run over a crawl's listing would be 100,000 requests.
            size = known.fingerprint.size
            yield PlannedSource(source.id, source.name, PlanAction.ALREADY, f"{source.id} is already ingested", size, 0)
            continue
        try:
            check()
            with open_source(source, settings, on_wait=check) as file:
                WetReader(file, source.name, check=check)
                found = fingerprint(file)
                plan = plan_source(source, file, found, markers, allow_copies=allow_copies)
        except NotWetError as error:
            yield PlannedSource(source.id, source.name, PlanAction.REFUSED, str(error), 0, 0)
        except OSError as error:
            message = f"{source.name} cannot be read: {error.strerror or error}"
            yield PlannedSource(source.id, source.name, PlanAction.REFUSED, message, 0, 0)
        else:
            done = 0 if known is None else known.place.member
            left = found.size - done if plan.action in READS else 0
            yield PlannedSource(source.id, source.name, plan.action, plan.message, found.size, left)


def estimate(
    planned: Sequence[PlannedSource],
    sources: Sequence[Source],
    settings: ProducerSettings,
    workers: int,
    *,
    check: Callable[[], None] = no_check,
) -> Estimate:
    """Estimate time and topic size by reading and compressing the first megabytes of a few sources."""
    left = [plan for plan in planned if plan.left_bytes]
    by_id = {source.id: source for source in sources}
    read = raw = packed = 0
    began = time.perf_counter()
    for plan in left[:: max(1, len(left) // SAMPLED_SOURCES)][:SAMPLED_SOURCES]:
        try:
            sample = _sample(by_id[plan.source], settings, check)
        except (OSError, NotWetError):
            continue
        read, raw, packed = read + sample[0], raw + sample[1], packed + sample[2]
    seconds = time.perf_counter() - began
    file_bytes = sum(plan.left_bytes for plan in left)
    if not read:
        return Estimate(len(left), file_bytes, 0, 0, None if left else 0.0)
    raw_bytes = file_bytes * raw // read
    speed = raw / seconds * READING_SHARE * max(1, min(workers, len(left)))
    return Estimate(len(left), file_bytes, raw_bytes, raw_bytes * packed // raw, raw_bytes / speed + START_S)


def _sample(source: Source, settings: ProducerSettings, check: Callable[[], None]) -> tuple[int, int, int]:
    """Return bytes of the file, of its records, and of those compressed, for the beginning of a source."""
    raw = packed = 0
    batch = b""
    with open_source(source, settings, on_wait=check) as file:
        reader = WetReader(file, source.name, check=check)
        last = 0
        for item in reader:
            if isinstance(item, Record):
                raw += len(item.raw)
                batch += item.raw
            last = item.next.member or reader.consumed
            if len(batch) > BATCH_BYTES:
                packed += len(lz4.frame.compress(batch))
                batch = b""
            if raw > SAMPLE_BYTES:
                break
    return last, raw, packed + len(lz4.frame.compress(batch))
