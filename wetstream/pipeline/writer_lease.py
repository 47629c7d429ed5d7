"""Access to the live documents, for reading and, under the writer lease, for writing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from redis import Redis

from conf.addresses import BootstrapServers
from conf.settings import Settings
from sinks.documents.errors import DocumentsError
from sinks.documents.generations import Generation, Generations
from sinks.documents.table import Documents
from sinks.keys import lease_key
from sinks.lease import Lease
from sinks.statistics.builds import Count, count_here, open_builds
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


def rebuild(settings: Settings, client: Redis, log: Callable[[str], None]) -> None:
    """Count all documents of the live generation into a new build, then switch readers to it.

    Needs neither Kafka nor the WET files. With `stream.master` the tasks of that cluster count, else this process.

    Raises:
        LeaseError: A stream runs.
        DocumentsError: A file of the documents is missing, or is not what was written.
        ServerError: There is no Java for Spark.
        StreamError: Spark does not start, or its tasks fail.
    """
    from streaming.session import is_local

    with as_writer(settings):
        generation = live_generation(settings)
        count = count_here if is_local(settings) else _cluster(settings, client, generation.documents, log)
        open_builds(settings, client, count=count).rebuild(generation, generation.documents.position())


def _cluster(settings: Settings, client: Redis, documents: Documents, log: Callable[[str], None]) -> Count:
    from streaming.connections import Connections
    from streaming.probe import check_executors
    from streaming.tasks.recount import SparkRecount
    from wetstream.pipeline.spark_session import start_spark

    spark = start_spark(settings, log)
    connections = Connections(BootstrapServers(""), client, spark)
    check_executors(settings, connections, documents.location, threading.Event())
    return SparkRecount(spark, settings)


def live_generation(settings: Settings) -> Generation:
    """Open the live generation. Raises DocumentsError before the first run."""
    found = Generations.of(settings).open_live()
    if found is None:
        raise DocumentsError(f"pipeline {settings.pipeline} has no documents yet: run something first")
    return found
