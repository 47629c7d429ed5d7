"""Where a topic begins and ends, asked of the broker."""

from __future__ import annotations

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from producers.topic.topics import Topic, TopicError


def first_offsets(bootstrap_servers: str, topic: Topic) -> dict[int, int]:
    """First offset that each partition still holds. Raises TopicError when the broker cannot be asked."""
    return _ask(bootstrap_servers, topic, first=True)


def end_offsets(bootstrap_servers: str, topic: Topic) -> dict[int, int]:
    """End of each partition behind its last committed transaction. Raises TopicError."""
    return _ask(bootstrap_servers, topic, first=False)


def _ask(bootstrap_servers: str, topic: Topic, *, first: bool) -> dict[int, int]:
    partitions = [TopicPartition(topic.name, number) for number in range(topic.partitions)]
    try:
        consumer = KafkaConsumer(bootstrap_servers=bootstrap_servers, isolation_level="read_committed")
        try:
            offsets = consumer.beginning_offsets(partitions) if first else consumer.end_offsets(partitions)
        finally:
            consumer.close()
    except KafkaError as error:
        raise TopicError(f"Kafka at {bootstrap_servers} did not tell the offsets of {topic.name}: {error}") from error
    return {partition.partition: offset for partition, offset in offsets.items()}
