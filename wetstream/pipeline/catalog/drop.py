"""Deletes a pipeline: its topic models, statistics, Kafka topics and documents."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from conf.settings import Settings
from producers.topic.topics import delete_topics
from sinks.documents.errors import DocumentsError
from sinks.documents.generations import Generations
from sinks.keys import changes_key, lease_key, pipeline_pattern, replay_lease_key
from sinks.lease import Lease
from sinks.statistics.builds import open_builds
from sinks.storage.folder import Folder
from topicmodels.store import ModelStore
from wetstream.pipeline.catalog.listing import list_pipelines
from wetstream.pipeline.connections import find_servers, open_redis


def drop_pipeline(settings: Settings, log: Callable[[str], None]) -> None:
    """Delete everything that a pipeline has. Interrupted, the same call completes it: the documents go last.

    Raises:
        DocumentsError: There is no such pipeline.
        ServerError: Kafka or Redis is not there, so that something would be left.
        TopicError: A topic model is being trained.
        LeaseError: A stream, a replay or another change of the pipeline runs.
    """
    name = settings.pipeline
    if name not in {found.name for found in list_pipelines(settings)}:
        raise DocumentsError(f"there is no pipeline {name}: `wetstream pipelines list` names them")
    servers = find_servers(settings)
    with ExitStack() as held, open_redis(servers.redis, name) as redis:
        leases = (lease_key(name), replay_lease_key(name), changes_key(name))
        for key in leases:
            lease = Lease(redis, key, lease_s=settings.stream.lease_s)
            lease.acquire()
            held.callback(lease.release)
        log("deleting its topic models")
        models = ModelStore(settings.topic_models_path)
        for model in models.names():
            models.drop(model)
        for derived in (models.folder, settings.slices_path):
            Folder(derived).remove()
        log("deleting its statistics")
        open_builds(settings, redis).delete_shards()  # first: the keys below name them
        kept = {key.encode() for key in leases}
        for key in redis.scan_iter(pipeline_pattern(name), count=1000):
            if key not in kept:
                redis.unlink(key)
        log("deleting its topics")
        delete_topics(settings, servers.bootstrap_servers)
        log("deleting its documents")
        Generations.of(settings).location.remove()
