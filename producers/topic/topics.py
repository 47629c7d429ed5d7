"""The two topics of a pipeline: created when missing, identified by the broker's topic id."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass

from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import NewTopic
from kafka.errors import KafkaError, TopicAlreadyExistsError

from conf.addresses import BootstrapServers
from conf.errors import ExplainedError
from conf.settings import Settings

# Room for the largest record (16 MiB) with its key and the batch around it.
MAX_MESSAGE_BYTES = 24 << 20
MAX_REPLICAS = 3


class TopicError(ExplainedError):
    """The broker cannot be reached or a topic is unusable; the message names it and the remedy."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as the broker describes it. A topic that was deleted and recreated has another `id`."""

    name: str
    id: str
    partitions: int


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of a pipeline: its `records`, and the `progress` of their sources."""

    records: Topic
    progress: Topic


def ensure_topics(settings: Settings, bootstrap_servers: BootstrapServers) -> Topics:
    """Describe the topics of a pipeline, creating those that are missing.

    Records are kept for ever by default (the topic is the archive that a replay reads); the progress topic is compacted
    to the last marker of each source.

    Raises:
        TopicError: The broker does not answer, or refuses.
    """
    names = (settings.records_topic, settings.progress_topic)
    admin = _admin(settings, bootstrap_servers)
    try:
        existing = set(admin.list_topics())
        missing = [name for name in names if name not in existing]
        if missing:
            for topic in _new_topics(settings, brokers=len(admin.describe_cluster()["brokers"])):
                if topic.name in missing:
                    with contextlib.suppress(TopicAlreadyExistsError):
                        admin.create_topics([topic])
        return Topics(*(_describe(admin, name) for name in names))
    except KafkaError as error:
        raise TopicError(f"Kafka at {bootstrap_servers} refused to create or describe the topics: {error}") from error
    finally:
        admin.close()


def _new_topics(settings: Settings, brokers: int) -> tuple[NewTopic, NewTopic]:
    """The topics of a pipeline as they are created on a cluster of so many brokers."""
    kafka = settings.kafka
    replicas = kafka.replication_factor or min(brokers, MAX_REPLICAS)
    # Stated even where it is 1: the brokers' own default may be more than there are replicas.
    in_sync = kafka.min_insync_replicas or (2 if replicas >= MAX_REPLICAS else 1)
    common = {"min.insync.replicas": str(in_sync)}
    keeps_all = {"retention.ms": "-1", "retention.bytes": "-1", "max.message.bytes": str(MAX_MESSAGE_BYTES)}
    compacted = {
        "cleanup.policy": "compact",
        "min.cleanable.dirty.ratio": "0.1",
        "segment.bytes": str(16 << 20),
        "segment.ms": "600000",
    }
    return (
        NewTopic(settings.records_topic, kafka.partitions, replicas, topic_configs=common | keeps_all),
        NewTopic(settings.progress_topic, kafka.partitions, replicas, topic_configs=common | compacted),
    )


def describe_topics(settings: Settings, bootstrap_servers: BootstrapServers) -> Topics | None:
    """The topics of a pipeline, None unless both exist. Raises TopicError when the broker does not answer."""
    records = describe_topic(settings, bootstrap_servers, settings.records_topic)
    progress = describe_topic(settings, bootstrap_servers, settings.progress_topic)
    return None if records is None or progress is None else Topics(records, progress)


def describe_topic(settings: Settings, bootstrap_servers: BootstrapServers, name: str) -> Topic | None:
    """The topic of this name, None where there is none. Raises TopicError when the broker does not answer."""
    admin = _admin(settings, bootstrap_servers)
    try:
        return _describe(admin, name) if name in set(admin.list_topics()) else None
    except KafkaError as error:
        raise TopicError(f"Kafka at {bootstrap_servers} did not describe the topic {name}: {error}") from error
    finally:
        admin.close()


def list_topics(settings: Settings, bootstrap_servers: BootstrapServers) -> list[str]:
    """Names of all topics. Raises TopicError when the broker does not answer."""
    admin = _admin(settings, bootstrap_servers)
    try:
        return sorted(admin.list_topics())
    finally:
        admin.close()


def delete_topics(settings: Settings, bootstrap_servers: BootstrapServers) -> None:
    """Delete the topics of a pipeline, as far as they exist. Raises TopicError when the broker refuses."""
    admin = _admin(settings, bootstrap_servers)
    try:
        names = {settings.records_topic, settings.progress_topic} & set(admin.list_topics())
        if names:
            admin.delete_topics(sorted(names))
    except KafkaError as error:
        raise TopicError(f"Kafka at {bootstrap_servers} refused to delete the topics: {error}") from error
    finally:
        admin.close()


def delete_records(
    settings: Settings, bootstrap_servers: BootstrapServers, topic: Topic, before: Mapping[int, int]
) -> None:
    """Delete the messages of a topic before an offset of each partition. Raises TopicError when the broker refuses."""
    admin = _admin(settings, bootstrap_servers)
    try:
        admin.delete_records({TopicPartition(topic.name, partition): offset for partition, offset in before.items()})
    except KafkaError as error:
        raise TopicError(
            f"Kafka at {bootstrap_servers} refused to delete messages of {topic.name}: {error}. It needs the right to "
            "delete from the topic (`Delete` on it)"
        ) from error
    finally:
        admin.close()


def _admin(settings: Settings, bootstrap_servers: BootstrapServers) -> KafkaAdminClient:
    try:
        return KafkaAdminClient(
            **bootstrap_servers.client_options(),
            request_timeout_ms=settings.kafka.request_timeout_ms,
            bootstrap_timeout_ms=min(10_000, settings.kafka.request_timeout_ms),
        )
    except KafkaError as error:
        raise TopicError(
            f"no Kafka broker answers at {bootstrap_servers} ({type(error).__name__}): start it (`wetstream up` for "
            "the embedded one) or correct kafka.bootstrap_servers"
        ) from error


def _describe(admin: KafkaAdminClient, name: str) -> Topic:
    # The broker's metadata may lag behind the creation of a topic.
    deadline = time.monotonic() + 10
    while True:
        (topic,) = admin.describe_topics([name])
        if not topic["error_code"] and topic["partitions"]:
            return Topic(name, str(topic["topic_id"]), len(topic["partitions"]))
        if time.monotonic() > deadline:
            raise TopicError(f"the broker does not describe topic {name} (error code {topic['error_code']})")
        time.sleep(0.1)
