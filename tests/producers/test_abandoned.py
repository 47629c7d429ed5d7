"""An abandoned producer stops by itself, although it holds records that were never sent."""

from __future__ import annotations

from collections.abc import Callable

from conf.settings import Settings
from producers.topic.topics import ensure_topics
from producers.topic.transactional import TransactionalProducer


def test_an_abandoned_producer_ends_its_thread(make_settings: Callable[..., Settings]) -> None:
    settings = make_settings()
    servers = settings.bootstrap_servers
    topic = ensure_topics(settings, servers).records
    producer = TransactionalProducer(
        **servers.client_options(), transactional_id=topic.name, linger_ms=60_000, acks="all"
    )
    producer.init_transactions()
    producer.begin_transaction()
    producer.send(topic.name, value=b"queued", partition=0)
    sender = producer._sender
    assert sender.is_alive()
    producer.abandon()
    sender.join(60)
    assert not sender.is_alive()
