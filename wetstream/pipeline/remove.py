"""Removes sources, through the running stream if there is one."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from redis import Redis

from conf.addresses import BootstrapServers
from conf.errors import ExplainedError
from conf.settings import Settings
from producers.removal import NOT_IN_TOPIC, mark_removed, mark_removing
from producers.sources.identity import crawl_and_segment, source_id
from producers.topic.markers import SourceState
from producers.topic.topics import Topics, describe_topics
from serving.queries import LiveStatistics, NoStatisticsError
from sinks import removal
from sinks.keys import changes_key, lease_key
from sinks.lease import Lease, LeaseError
from sinks.requests import Request, send_request, wait_for_answer
from sinks.statistics.builds import open_builds
from wetstream.pipeline.connections import find_kafka, find_redis, open_redis
from wetstream.pipeline.ledger import read_markers
from wetstream.pipeline.writer_lease import live_documents, live_generation

ASK_AGAIN_S = 20.0


class UnknownSourceError(ExplainedError):
    """There is no such source; the message says how to list the sources."""


def find_sources(settings: Settings, names: Sequence[str], segments: Sequence[str], crawls: Sequence[str]) -> list[str]:
    """Return the identities of the named sources. Raises UnknownSourceError when a name matches none."""
    known = _known(settings)
    found: set[str] = set()
    for name in names:
        source = name if name in known else source_id(name)
        if source not in known:
            raise UnknownSourceError(
                f"{name} is no source of pipeline {settings.pipeline}: `wetstream segments --json` lists them"
            )
        found.add(source)
    for kind, wanted, at in (("crawl", crawls, 0), ("segment", segments, 1)):
        for name in wanted:
            of = {source for source in known if crawl_and_segment(source)[at] == name}
            if not of:
                raise UnknownSourceError(f"no source of pipeline {settings.pipeline} is of {kind} {name}")
            found |= of
    return sorted(found)


def _known(settings: Settings) -> set[str]:
    known = {source for source, marker in (read_markers(settings) or {}).items() if marker.state != SourceState.REMOVED}
    try:
        statistics = LiveStatistics(open_redis(find_redis(settings), settings.pipeline), settings.pipeline)
        known |= {str(row["source"]) for row in statistics.sources()["sources"]}
    except NoStatisticsError:
        pass
    return known


def remove(settings: Settings, sources: Sequence[str], note: Callable[[str], None]) -> int:
    """Take sources out of documents and statistics; return the number of their records.

    A running stream does it between two micro-batches; without one it is done here. Repeating it after any
    interruption is safe.

    Raises:
        LeaseError: Another change of the pipeline is under way.
        RemovalError: A producer of one of the sources runs.
        DocumentsError: There are no documents.
    """
    redis = open_redis(find_redis(settings), settings.pipeline)
    changes = Lease(redis, changes_key(settings.pipeline), lease_s=settings.stream.lease_s)
    changes.acquire()
    try:
        bootstrap_servers, topics = _topics(settings)
        if topics is None:
            ends: Mapping[str, tuple[int, int]] = dict.fromkeys(sources, NOT_IN_TOPIC)
        else:
            ends = mark_removing(settings, bootstrap_servers, topics, sources)
        records = have_removed(settings, redis, Request(ends), note)
        if topics is not None:
            mark_removed(settings, bootstrap_servers, topics, sources)
        return records
    finally:
        changes.release()


def have_removed(settings: Settings, redis: Redis, request: Request, note: Callable[[str], None]) -> int:
    """Ask the running stream to do it, or do it here when none runs; return the number of records."""
    lease = Lease(redis, lease_key(settings.pipeline), lease_s=settings.stream.lease_s)
    while True:
        try:
            lease.acquire()
        except LeaseError:
            note("a stream runs: asked it to do this after its micro-batch")
            request = replace(request, id=uuid.uuid4().hex)
            send_request(redis, settings.pipeline, request)
            answer = wait_for_answer(redis, settings.pipeline, request, ASK_AGAIN_S)
            if answer is not None:
                return answer
            continue
        try:
            return _remove_here(settings, redis, request)
        finally:
            lease.release()


def _remove_here(settings: Settings, redis: Redis, request: Request) -> int:
    level = settings.documents.compression_level
    generation = live_generation(settings)
    documents = generation.documents
    removal.finish_removal(documents, compression_level=level)
    statistics = open_builds(settings, redis).catch_up(generation, documents.position())
    return removal.remove_records(
        documents, statistics, request.ends, takedowns=request.takedowns, compression_level=level
    )


def _topics(settings: Settings) -> tuple[BootstrapServers, Topics | None]:
    """Return the broker and its topics; no topics when nothing was ever ingested through Kafka."""
    bootstrap_servers = find_kafka(settings)
    if not bootstrap_servers:
        if "topic_id" in live_documents(settings).properties:
            raise ExplainedError(
                "Kafka does not run, but the topic has to know what is removed: start it (`wetstream up`), or name "
                "yours (kafka.bootstrap_servers)"
            )
        return BootstrapServers(""), None
    return bootstrap_servers, describe_topics(settings, bootstrap_servers)
