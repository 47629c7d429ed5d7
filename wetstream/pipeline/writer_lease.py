"""Access to the live documents, for reading and, under the writer lease, for writing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from redis import Redis

from conf.settings import Settings
from sinks.documents.errors import DocumentsError
from sinks.documents.generations import Generation, Generations
from sinks.documents.table import Documents
from sinks.keys import lease_key
from sinks.lease import Lease
from sinks.statistics.builds import open_builds
from wetstream.pipeline.connections import find_redis, open_redis


def live_documents(settings: Settings) -> Documents:
    """Open the documents of the live generation. Raises DocumentsError when there are none."""
    return live_generation(settings).documents


@contextmanager
def as_writer(settings: Settings) -> Iterator[Documents]:
    """Open the documents of the live generation and hold the writer lease. Raises LeaseError while a stream runs."""
    lease = Lease(
        open_redis(find_redis(settings), settings.pipeline),
        lease_key(settings.pipeline),
        lease_s=settings.stream.lease_s,
    )
    lease.acquire()
    try:
        yield live_documents(settings)
    finally:
        lease.release()


def rebuild(settings: Settings, client: Redis) -> None:
    """Count all documents of the live generation into a new build, then switch readers to it.

    Needs neither Kafka nor the WET files. Raises LeaseError while a stream runs.
    """
    with as_writer(settings):
        generation = live_generation(settings)
        open_builds(settings, client).rebuild(generation, generation.documents.position())


def live_generation(settings: Settings) -> Generation:
    """Open the live generation. Raises DocumentsError before the first run."""
    found = Generations.of(settings).open_live()
    if found is None:
        raise DocumentsError(f"pipeline {settings.pipeline} has no documents yet: run something first")
    return found
