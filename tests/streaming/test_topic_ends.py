from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing

from kafka import KafkaAdminClient

from conf.settings import Settings
from producers.topic.topics import ensure_topics
from streaming.topic_ends import TopicEnds


def test_partitions_that_are_added_later_are_followed_too(make_settings: Callable[..., Settings]) -> None:
    settings = make_settings(kafka__partitions=2)
    servers = settings.bootstrap_servers
    assert servers is not None
    topic = ensure_topics(settings, servers).records
    with closing(TopicEnds(servers, topic)) as ends:
        _wait_until(lambda: ends.ends == {0: 0, 1: 0})
        with closing(KafkaAdminClient(**servers.client_options())) as admin:
            admin.create_partitions({topic.name: 4})
        ends.include([2, 3])
        _wait_until(lambda: ends.ends == {0: 0, 1: 0, 2: 0, 3: 0})


def _wait_until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)
