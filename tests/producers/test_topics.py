"""The topics of a pipeline: how they are created, what the broker says of them, and errors by name."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from functools import partial

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.admin import NewTopic

from conf.addresses import BootstrapServers
from conf.settings import Settings
from producers.topic.offsets import end_offsets, first_offsets, high_watermarks
from producers.topic.topics import (
    Topic,
    TopicError,
    _new_topics,
    delete_records,
    delete_topics,
    describe_topic,
    describe_topics,
    ensure_topics,
    list_topics,
)

Make = Callable[..., Settings]
NOBODY = BootstrapServers("127.0.0.1:1")


@pytest.mark.parametrize(
    ("brokers", "given", "replicas", "in_sync"),
    [
        (1, {}, 1, "1"),
        (2, {}, 2, "1"),
        (3, {}, 3, "2"),
        (5, {}, 3, "2"),
        (5, {"kafka__replication_factor": 2}, 2, "1"),
        (5, {"kafka__replication_factor": 4}, 4, "2"),
        (5, {"kafka__min_insync_replicas": 3}, 3, "3"),
    ],
)
def test_new_topics_survive_the_loss_of_a_broker_and_keep_their_records(
    brokers: int, given: dict[str, int], replicas: int, in_sync: str, make_settings: Make
) -> None:
    settings = make_settings(**given)
    records, progress = _new_topics(settings, brokers)
    assert (records.name, progress.name) == (settings.records_topic, settings.progress_topic)
    for topic in (records, progress):
        assert (topic.num_partitions, topic.replication_factor) == (4, replicas)
        assert topic.topic_configs["min.insync.replicas"] == in_sync
    assert records.topic_configs.items() >= {"retention.ms": "-1", "retention.bytes": "-1"}.items()
    assert 16 << 20 < int(records.topic_configs["max.message.bytes"]) < 32 << 20
    assert "cleanup.policy" not in records.topic_configs
    assert progress.topic_configs.items() >= {"cleanup.policy": "compact"}.items()
    assert float(progress.topic_configs["min.cleanable.dirty.ratio"]) < 0.5, "the brokers' default"
    assert int(progress.topic_configs["segment.bytes"]) < 1 << 30, "only closed segments are compacted"
    assert int(progress.topic_configs["segment.ms"]) < 7 * 86_400_000


def test_topics_are_created_described_and_deleted(make_settings: Make) -> None:
    settings = make_settings()
    servers = settings.bootstrap_servers
    names = {settings.records_topic, settings.progress_topic}
    delete_topics(settings, servers)  # none yet
    assert describe_topics(settings, servers) is None
    with closing(KafkaAdminClient(**servers.client_options())) as admin:
        admin.create_topics([NewTopic(settings.records_topic, 3, 1)])
    assert describe_topics(settings, servers) is None
    made = ensure_topics(settings, servers)
    assert (made.records.name, made.records.partitions) == (settings.records_topic, 3), "it was there"
    assert (made.progress.name, made.progress.partitions) == (settings.progress_topic, 4)
    assert made.records.id != made.progress.id
    assert describe_topics(settings, servers) == ensure_topics(settings, servers) == made
    assert describe_topic(settings, servers, "nothing") is None
    listed = list_topics(settings, servers)
    assert names <= set(listed) and listed == sorted(listed)
    delete_topics(settings, servers)
    assert not names & set(list_topics(settings, servers))
    assert ensure_topics(settings, servers).records.id != made.records.id, "another topic of the same name"


def test_offsets_tell_what_is_held_committed_and_written(make_settings: Make) -> None:
    settings = make_settings(kafka__partitions=2)
    servers = settings.bootstrap_servers
    topic = ensure_topics(settings, servers).records
    options = servers.client_options()
    with closing(KafkaProducer(**options)) as producer:
        for number in range(5):
            producer.send(topic.name, value=b"%d" % number, partition=1)
    delete_records(settings, servers, topic, {1: 2})
    with closing(KafkaProducer(**options, transactional_id=topic.name)) as producer:
        producer.init_transactions()
        producer.begin_transaction()
        producer.send(topic.name, value=b"open", partition=0).get(30)
        assert first_offsets(servers, topic) == {0: 0, 1: 2}
        assert end_offsets(servers, topic) == {0: 0, 1: 5}
        assert high_watermarks(servers, topic) == {0: 1, 1: 5}
        producer.abort_transaction()


def test_a_broker_that_does_not_answer_or_refuses_is_named(
    make_settings: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("producers.topic.offsets.KafkaConsumer", partial(KafkaConsumer, bootstrap_timeout_ms=500))
    settings = make_settings(kafka__request_timeout_ms=1_000)
    servers = settings.bootstrap_servers
    gone = Topic("gone", "id", 1)
    for ask in (ensure_topics, describe_topics, list_topics, delete_topics):
        with pytest.raises(TopicError, match=r"no Kafka broker answers at 127\.0\.0\.1:1 .*wetstream up"):
            ask(settings, NOBODY)
    with pytest.raises(TopicError, match=r"refused to delete messages of gone.*Delete"):
        delete_records(settings, servers, gone, {0: 1})
    with pytest.raises(TopicError, match=r"Kafka at 127\.0\.0\.1:1 did not report the offsets of gone"):
        end_offsets(NOBODY, gone)
