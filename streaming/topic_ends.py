"""Follows the end of a topic while a query runs, so that the lag is known between two micro-batches, too."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from conf.addresses import BootstrapServers
from producers.topic.topics import Topic

EVERY_S = 0.5
RETRY_S = 5.0


class TopicEnds:
    """Last stable offsets of a topic's partitions, read in a thread of its own: a broker may hang.

    An outage of the broker is noticed and reported by the query; here the last known ends just stay.
    """

    def __init__(self, bootstrap_servers: BootstrapServers, topic: Topic) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._topic = topic
        self._numbers = frozenset(range(topic.partitions))
        self._ends: Mapping[int, int] = {}
        self._stop = threading.Event()
        threading.Thread(target=self._run, name="wetstream-topic-ends", daemon=True).start()

    @property
    def ends(self) -> Mapping[int, int]:
        """The last known end of each partition; empty before the first answer of the broker."""
        return self._ends

    def include(self, partitions: Iterable[int]) -> None:
        """Follow these partitions too: they were added to the topic, and Spark has found them."""
        self._numbers = self._numbers.union(partitions)

    def close(self) -> None:
        """End the thread, without waiting for a call that is under way."""
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._follow()
            # The client raises ValueError where it has been closed, KeyError for a partition that it does not know yet.
            except (KafkaError, OSError, ValueError, KeyError):
                self._stop.wait(RETRY_S)

    def _follow(self) -> None:
        numbers = self._numbers
        # A consumer keeps to the partitions that the topic had when it was made.
        consumer = KafkaConsumer(**self._bootstrap_servers.client_options(), isolation_level="read_committed")
        try:
            while not self._stop.is_set() and self._numbers == numbers:
                found = consumer.end_offsets([TopicPartition(self._topic.name, number) for number in numbers])
                self._ends = {partition.partition: end for partition, end in found.items()}
                self._stop.wait(EVERY_S)
        finally:
            consumer.close()
