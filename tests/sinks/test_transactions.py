"""Optimistic transactions against a real Redis: all or nothing, errors by name, connections given back clean."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import pytest
from redis import ConnectionPool, Redis
from redis.exceptions import ResponseError

from sinks.statistics.resp import packed
from sinks.statistics.transactions import transaction_pipeline

KEY, OTHER = "transactions:a", "transactions:b"


@pytest.fixture
def client(redis_client: Redis) -> Iterator[Redis]:
    """A client with one connection, which every caller must give back."""
    redis_client.delete(KEY, OTHER)
    settings = {**redis_client.connection_pool.connection_kwargs, "retry": None}
    with Redis(connection_pool=ConnectionPool(**settings, max_connections=1)) as client:
        yield client


def test_a_refused_command_is_raised_and_later_replies_keep_their_order(client: Redis) -> None:
    with transaction_pipeline(client) as pipeline:
        with pytest.raises(ResponseError, match="NOSUCH"):
            pipeline.read(packed("NOSUCH"), packed("SET", KEY, "1"))
        assert pipeline.read(packed("GET", KEY)) == [b"1"]
    with pytest.raises(ResponseError, match="NOSUCH"), transaction_pipeline(client) as pipeline:
        pipeline.receive_exec(pipeline.send_exec(packed("SET", KEY, "2"), packed("NOSUCH")))
    assert client.get(KEY) == b"1"


def test_a_command_that_fails_inside_a_transaction_is_raised(client: Redis) -> None:
    with transaction_pipeline(client) as pipeline, pytest.raises(ResponseError, match="not an integer"):
        pipeline.receive_exec(pipeline.send_exec(packed("SET", KEY, "x"), packed("INCR", KEY)))


def test_only_a_change_of_a_key_watched_last_prevents_a_transaction(client: Redis, redis_client: Redis) -> None:
    with transaction_pipeline(client) as pipeline:
        for watched, is_applied in ((KEY, False), (OTHER, True)):
            pipeline.send_watch([watched], packed("GET", watched))
            assert pipeline.receive_watch(1) == [None]
            redis_client.append(KEY, "changed")
            assert pipeline.receive_exec(pipeline.send_exec(packed("SET", OTHER, "1"))) is is_applied
    assert redis_client.get(OTHER) == b"1"


@pytest.mark.parametrize("fails", [False, True])
def test_a_connection_given_back_watches_nothing(fails: bool, client: Redis, redis_client: Redis) -> None:
    with suppress(KeyError), transaction_pipeline(client) as pipeline:
        pipeline.send_watch([KEY])
        assert pipeline.receive_watch(0) == []
        redis_client.set(KEY, "changed")
        if fails:
            raise KeyError
    with client.pipeline(transaction=True) as transaction:
        transaction.set(OTHER, "1")
        assert transaction.execute() == [True]


def test_an_error_inside_is_not_swallowed(client: Redis) -> None:
    with pytest.raises(KeyError), transaction_pipeline(client):
        raise KeyError
