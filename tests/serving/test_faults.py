"""What goes wrong in Redis or in the server is said in one sentence, never served as numbers, and mends itself."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import pytest
from redis import Redis

from serving.answers.sources import Source, SourceCounts
from serving.api.responses import CACHED_ANSWER_BYTES, ResponseCache
from serving.background import BackgroundThread
from sinks.keys import batches_key, counters_key, growth_key, live_key
from tests.harness import Command
from tests.serving.pipelines import Made, Running

BAGS = [{"alpha": 3, "beta": 1}, {"alpha": 1, "gamma": 2}, {"alpha": 2, "beta": 2}]
Serve = Callable[..., Running]


class Garbage(NamedTuple):
    """A key, and what somebody does to it."""

    key: Callable[[Made], str]
    spoil: Callable[[Redis, str], object]


def as_a_string(redis: Redis, key: str) -> None:
    redis.delete(key)
    redis.set(key, "1")


GARBAGE = {
    "total": Garbage(lambda made: made.keys.totals, lambda redis, key: redis.hset(key, "documents", "many")),
    "reason": Garbage(lambda made: made.keys.reasons, lambda redis, key: redis.hset(key, b"\xff", "1")),
    "length": Garbage(lambda made: made.keys.lengths, lambda redis, key: redis.hset(key, "long", "1")),
    "huge df": Garbage(lambda made: made.keys.df_words, lambda redis, key: redis.hset(key, str(10**30), "1")),
    "source": Garbage(lambda made: made.keys.sources, lambda redis, key: redis.hset(key, "a.warc.wet.gz", "1")),
    "language": Garbage(lambda made: made.keys.languages, lambda redis, key: redis.hset(key, "eng", "x")),
    "position": Garbage(lambda made: made.keys.position, lambda redis, key: redis.set(key, "[1]")),
    "time": Garbage(lambda made: made.keys.as_of, lambda redis, key: redis.hset(key, "time", "nan")),
    "profile": Garbage(lambda made: made.keys.as_of, lambda redis, key: redis.hset(key, "profile", b"\xff")),
    "prefix": Garbage(lambda made: live_key(made.pipeline), lambda redis, key: redis.set(key, "ws:{other}:g.1:")),
    "type": Garbage(lambda made: made.keys.totals, as_a_string),
    "batches": Garbage(lambda made: batches_key(made.pipeline), lambda redis, key: redis.lpush(key, '{"at": NaN}')),
    "growth": Garbage(lambda made: growth_key(made.pipeline), lambda redis, key: redis.rpush(key, "{}")),
    "counters": Garbage(lambda made: counters_key(made.pipeline), lambda redis, key: redis.hset(key, "rows", "-")),
    "word": Garbage(lambda made: made.keys.words, lambda redis, key: redis.hset(key, "beta", "a lot")),
}


def wait_for(condition: Callable[[], Any], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("what", GARBAGE)
def test_garbage_in_redis_is_named_and_not_served(made: Made, serve: Serve, what: str) -> None:
    made.add(*BAGS, rejected=2)
    server = serve()
    wait_for(lambda: server.http.get("/api/v1/words/search").status_code == 200)
    assert server.get("/ready")["status"] == "ready"
    key = GARBAGE[what].key(made)
    kept = made.client.dump(key)
    committed = made.client.hget(made.keys.as_of, "time")
    made.client.hset(made.keys.as_of, "time", time.time())  # a commit: only then everything is read again
    GARBAGE[what].spoil(made.client, key)

    assert committed is not None
    wait_for(lambda: key in server.http.get("/ready").text)
    paths = ["/ready", "/api/v1/words/search"]
    if what != "word":  # of which only the copy of the vocabulary knows
        paths += ["/api/v1/stats", "/api/v1/words/alpha", "/api/v1/growth"]
    for path in paths:
        answer = server.http.get(path)
        assert answer.status_code == 503 and key in answer.text, answer.text
    assert server.get("/health")["status"] == "ok"
    assert "wetstream_redis_up" in server.http.get("/metrics").text

    made.client.delete(key)
    if kept is not None:
        made.client.restore(key, 0, kept)
    made.client.hset(made.keys.as_of, "time", time.time())
    wait_for(lambda: server.http.get("/ready").status_code == 200)
    assert server.get("/api/v1/stats")["documents"] == 3


@pytest.mark.parametrize("what", ["total", "position", "prefix", "type", "word"])
def test_command_names_the_corrupt_key_in_one_sentence(made: Made, command: Command, what: str) -> None:
    made.add(*BAGS)
    key = GARBAGE[what].key(made)
    GARBAGE[what].spoil(made.client, key)
    asked = ("word", "beta") if what == "word" else ("stats",)
    refused = command(*asked, code=1)
    assert refused.stdout == "" and key in refused.stderr.replace("\n", " ")
    assert "wetstream rebuild" in refused.stderr.replace("\n", " ")


class BrokenLedger:
    """Fails in a way that nobody foresaw, while told to."""

    version = 0

    def __init__(self) -> None:
        self.broken = False

    def lag_by_partition(self, position: Mapping[str, int]) -> dict[str, int]:
        return {}

    def ledger(self, counted: Sequence[SourceCounts], positions: Mapping[str, int]) -> list[Source]:
        if self.broken:
            raise RuntimeError("nobody foresaw this\nsecond line")
        return []


def test_internal_error_withholds_answers_until_it_is_gone(
    made: Made, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    made.add(*BAGS)
    ledger = BrokenLedger()
    server = serve(sources=ledger)
    wait_for(lambda: server.http.get("/ready").status_code == 200)
    with caplog.at_level(logging.INFO, "wetstream"):
        ledger.broken = True
        made.add({"alpha": 1})
        wait_for(lambda: server.http.get("/ready").status_code == 503)
        assert "nobody foresaw this" in server.get("/ready", 503)["reason"]
        assert "nobody foresaw this" in server.get("/api/v1/stats", 503)["message"]
        wait_for(lambda: "trying again" in caplog.text)
        assert "Traceback" not in caplog.text and "second line" not in caplog.text
        ledger.broken = False
        wait_for(lambda: server.http.get("/ready").status_code == 200)
    assert server.get("/api/v1/stats")["documents"] == 4


def test_background_thread_survives_and_reports_every_error() -> None:
    steps = 0

    def step() -> float:
        nonlocal steps
        steps += 1
        if steps == 2:
            raise KeyError("twice")
        return 0.01

    thread = BackgroundThread("counting", step)
    assert thread.silent_s == float("inf")
    thread.start()
    wait_for(lambda: thread.failure)
    assert "KeyError" in thread.failure and thread.silent_s < 30
    wait_for(lambda: steps > 3)
    assert thread.failure == "" and thread.silent_s < 30
    thread.stop()
    assert thread.silent_s == float("inf")


def test_internal_error_is_answered(made: Made, serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    made.add(*BAGS)
    server = serve(table=object())  # which has no method at all
    problem = server.get("/api/v1/hosts", 500)
    assert problem["error"] == "internal_error"
    assert "AttributeError" in caplog.text and "Traceback" not in caplog.text


def test_answer_cache_is_bounded_in_bytes(made: Made, serve: Serve) -> None:
    """Every URL is another answer: a client that counts up would fill the memory."""
    made.add({f"{'x' * 200}{number:03}": 1 for number in range(1000)})
    server = serve()
    cache: ResponseCache = server.app.state.api.responses
    cache._cache_bytes = 2_000_000
    largest = 0
    for number in range(40):
        assert server.http.get(f"/api/v1/words/top?limit={1000 - number}").status_code == 200
        assert cache.size_bytes <= 2_000_000
        largest = max(largest, cache.size_bytes)
    assert largest > 1_000_000  # answers of 240 kB: several are kept
    assert cache.size_bytes == sum(
        len(url) + len(version) + len(body) + 500 for url, (version, body) in cache._answers.items()
    )
    assert CACHED_ANSWER_BYTES < 32 << 20


def test_an_answer_that_is_too_large_is_refused(made: Made, serve: Serve) -> None:
    made.add({f"{'x' * 40_000}{number:03}": 1 for number in range(500)})
    server = serve()
    refused = server.get("/api/v1/words/top?limit=500", 422)
    assert refused["error"] == "answer_too_large" and "limit" in refused["message"]
    assert len(server.get("/api/v1/words/top?limit=100")["words"]) == 100


def test_clients_that_do_not_read_are_disconnected(made: Made, serve: Serve) -> None:
    made.add({f"{'x' * 10_000}{number:03}": 1 for number in range(1000)})
    server = serve(request_timeout_s=1)
    cache: ResponseCache = server.app.state.api.responses
    cache._max_unsent_bytes = 40_000_000
    request = b"GET /api/v1/words/top?limit=1000 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    assert server.http.get("/api/v1/words/top?limit=1000").status_code == 200
    sockets = []
    try:
        for _ in range(20):
            one = socket.socket()
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            one.connect(("127.0.0.1", server.port))
            one.sendall(request)
            sockets.append(one)
        wait_for(lambda: cache.unsent_bytes > 30_000_000)
        assert cache.unsent_bytes <= 40_000_000
        assert server.get("/api/v1/stats")["documents"] == 1
        wait_for(lambda: cache.unsent_bytes == 0)
    finally:
        for one in sockets:
            one.close()


def test_event_client_that_does_not_read_is_disconnected(made: Made, serve: Serve) -> None:
    made.add(*BAGS)
    made.client.hset(made.keys.as_of, "profile", "x" * 400_000)  # so that an event fills what lies between
    server = serve(request_timeout_s=1)
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    one.connect(("127.0.0.1", server.port))
    try:
        one.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        wait_for(lambda: server.app.state.events.clients == 1)
        number = 0

        def gone() -> bool:
            nonlocal number
            number += 1
            made.client.hset(made.keys.as_of, "time", time.time())
            return bool(server.app.state.events.clients == 0)

        wait_for(gone, 60)
    finally:
        one.close()
