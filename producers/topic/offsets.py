"""First and end offsets of a topic, as the broker reports them."""

from __future__ import annotations

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from conf.addresses import BootstrapServers
from producers.topic.topics import Topic, TopicError


def first_offsets(bootstrap_servers: BootstrapServers, topic: Topic) -> dict[int, int]:
    """First offset that each partition still holds. Raises TopicError when the broker does not answer."""
    return _fetch(bootstrap_servers, topic, first=True)


def end_offsets(bootstrap_servers: BootstrapServers, topic: Topic) -> dict[int, int]:
    """Last stable offset of each partition: what a read_committed reader can read up to. Raises TopicError."""
    return _fetch(bootstrap_servers, topic, first=False)


def high_watermarks(bootstrap_servers: BootstrapServers, topic: Topic) -> dict[int, int]:
    """End of each partition, open and aborted transactions included. Raises TopicError."""
    return _fetch(bootstrap_servers, topic, first=False, isolation_level="read_uncommitted")


def _fetch(
    bootstrap_servers: BootstrapServers, topic: Topic, *, first: bool, isolation_level: str = "read_committed"
) -> dict[int, int]:
    partitions = [TopicPartition(topic.name, number) for number in range(topic.partitions)]
    try:
        consumer = KafkaConsumer(**bootstrap_servers.client_options(), isolation_level=isolation_level)
        try:
            offsets = consumer.beginning_offsets(partitions) if first else consumer.end_offsets(partitions)
        finally:
            consumer.close()
    except KafkaError as error:
        raise TopicError(f"Kafka at {bootstrap_servers} did not report the offsets of {topic.name}: {error}") from error
    return {partition.partition: offset for partition, offset in offsets.items()}
