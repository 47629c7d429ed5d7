"""Statistics counted anew on demand."""

from __future__ import annotations

from redis import Redis

from conf.settings import Settings
from sinks.documents import DocumentsError
from sinks.generations import Generations
from sinks.heal import Builds
from sinks.keys import lease_key
from sinks.lease import Lease


def rebuild(settings: Settings, client: Redis) -> None:
    """Count all documents of the live generation into a new build, and switch readers to it.

    Raises LeaseError while a stream runs, DocumentsError when there are no documents.
    """
    lease = Lease(client, lease_key(settings.pipeline), lease_s=settings.stream.lease_s)
    lease.acquire()
    try:
        found = Generations(settings.documents_path, settings.pipeline).open_live()
        if found is None:
            raise DocumentsError(f"pipeline {settings.pipeline} has no documents yet: run something first")
        generation, documents = found
        builds = Builds(
            client, settings.pipeline, chunk_words=settings.redis.chunk_words, top_words=settings.redis.top_words
        )
        builds.rebuild(documents, generation, documents.position())
    finally:
        lease.release()
