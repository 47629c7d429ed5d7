"""Redis at the limit of its memory: a warning, then a wait, and nothing is lost or counted twice."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from sinks.keys import Keys
from sinks.statistics import memory
from sinks.statistics.errors import EvictionPolicyError, MemoryFullError
from sinks.statistics.memory import MemoryGuard
from sinks.statistics.store import Statistics
from sinks.statistics.sums import Sums, negated
from streaming.errors import StreamError
from streaming.failures import Outage
from tests.servers.processes import outside_redis
from tests.sinks.batches import held, row, sums_of

MB = 1 << 20


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[Redis]:
    with outside_redis(tmp_path) as url, Redis.from_url(url) as client:
        yield client


def many(words: int) -> Sums:
    return sums_of([row(0, {f"word-{number:07d}": 1 for number in range(words)})])


def statistics_of(client: Redis, build: str, guard: MemoryGuard) -> Statistics:
    return Statistics(client, Keys(f"ws:{{memory}}:{build}:"), chunk_words=1_000, top_words=100, guard=guard)


def used(client: Redis) -> int:
    return int(client.info("memory")["used_memory"])  # type: ignore[index]


@pytest.mark.parametrize("limit", ["setting", "maxmemory", "reply"])
def test_a_commit_waits_for_room_and_goes_on_where_it_was(
    own_redis: Redis, limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the setting, by the server's own limit, and where the server itself refuses, the guard having looked away."""
    monkeypatch.setattr(memory, "CHECK_WORDS", 4_000)
    monkeypatch.setattr("sinks.statistics.commit.CHECK_WORDS", 4_000)
    sums, finish = many(40_000), {"t/0": 1}
    alone = statistics_of(own_redis, "alone", MemoryGuard())
    before = used(own_redis)
    alone.commit(sums, {}, finish)
    grows = used(own_redis) - before
    at = used(own_redis) + grows // 2
    waits: list[int] = []

    def make_room(error: MemoryFullError) -> None:
        assert "leaves no room for more words" in str(error)
        assert used(own_redis) <= at + MB, "it has written over the limit"
        waits.append(int(own_redis.hlen(guarded.keys.words)))
        own_redis.config_set("maxmemory", 0)
        guard._limit_bytes = 0

    guard = MemoryGuard(at if limit == "setting" else 0, make_room)
    if limit != "setting":
        own_redis.config_set("maxmemory", at)
    if limit == "reply":
        monkeypatch.setattr(guard, "check", lambda info, words: None)
    guarded = statistics_of(own_redis, "guarded", guard)
    guarded.commit(sums, {}, finish)
    assert len(waits) == 1 and 0 < waits[0] < 40_000
    assert held(own_redis, guarded.keys) == held(own_redis, alone.keys)


def test_the_guard_is_asked_for_the_words_that_are_left(own_redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sinks.statistics.commit.CHECK_WORDS", 7)
    asked: list[int] = []
    guard = MemoryGuard()
    monkeypatch.setattr(guard, "check", lambda info, words: asked.append(words))
    Statistics(own_redis, Keys("ws:{memory}:left:"), chunk_words=3, top_words=9, guard=guard).commit(
        many(10), {}, {"t/0": 1}
    )
    assert asked == [10, 4]


def test_what_adds_no_words_needs_no_room(own_redis: Redis) -> None:
    guard = MemoryGuard()
    statistics = statistics_of(own_redis, "removal", guard)
    statistics.commit(many(100), {}, {"t/0": 1})
    guard._limit_bytes = 1
    with pytest.raises(MemoryFullError, match=r"of 0\.0 MB \(redis\.max_memory_mb\)"):
        statistics.commit(many(200), {"t/0": 1}, {"t/0": 2})
    statistics.commit(sums_of([row(1, None, "too_few_words")]), {"t/0": 1}, {"t/0": 2})  # has no words
    statistics.commit(negated(many(100)), {"t/0": 2}, {"t/0": 2, "removals": 1})
    assert own_redis.hlen(statistics.keys.words) == 0


def test_a_warning_from_eighty_percent_and_for_each_five_more(
    own_redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    guard = MemoryGuard(1_000 * MB)

    def look(megabytes: int) -> int:
        caplog.clear()
        guard.check(b"used_memory:%d\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\n" % (megabytes * MB), 1)
        return len(caplog.records)

    with caplog.at_level(logging.WARNING, "wetstream"):
        assert [look(megabytes) for megabytes in (799, 801, 802, 849, 852, 950, 900)] == [0, 1, 0, 0, 1, 1, 0]


def test_a_server_that_evicts_is_refused_by_name(own_redis: Redis) -> None:
    own_redis.config_set("maxmemory-policy", "allkeys-lru")
    statistics = statistics_of(own_redis, "evicting", MemoryGuard())
    with pytest.raises(EvictionPolicyError, match="maxmemory-policy allkeys-lru"):
        statistics.commit(many(10), {}, {"t/0": 1})
    assert own_redis.hlen(statistics.keys.words) == 0


def test_a_stream_that_is_stopped_does_not_wait_on(own_redis: Redis) -> None:
    stop = threading.Event()
    outage = Outage(0.0, stop)  # no patience with outages, which this is not
    statistics = statistics_of(own_redis, "stopped", MemoryGuard(1, outage.wait_for_room))
    threading.Timer(1.0, stop.set).start()
    with pytest.raises(StreamError, match="stopped while waiting: Redis uses"):
        statistics.commit(many(10), {}, {"t/0": 1})
    stop.clear()
    outage.is_ending = True
    with pytest.raises(MemoryFullError):
        statistics.commit(many(10), {}, {"t/0": 1})


def info(used: int, maximum: int = 0, policy: str = "noeviction") -> bytes:
    """A reply to INFO memory, with fields whose names contain those that are read."""
    lines = ["# Memory", f"used_memory:{used}", "used_memory_rss:999999999999", "allocator_used_memory:7"]
    lines += [f"maxmemory:{maximum}", "old_maxmemory:1", f"maxmemory_policy:{policy}", "no_maxmemory_policy:x"]
    return "\r\n".join([*lines[4:], *lines[:4]] if used % 2 else lines).encode() + b"\r\n"


@pytest.mark.parametrize("used", [1_000_000, 1_000_001])
@pytest.mark.parametrize(("words", "asked"), [(10, 10), (memory.CHECK_WORDS + 10, memory.CHECK_WORDS)])
def test_room_for_the_next_words_is_enough(used: int, words: int, asked: int) -> None:
    needs = used + asked * memory.WORD_BYTES
    MemoryGuard(needs).check(info(used), words)
    MemoryGuard(0).check(info(used, needs), words)
    MemoryGuard(0).check(info(used), words)
    MemoryGuard(needs).check(info(used, policy=""), words)
    MemoryGuard(needs).check(b"used_memory:%d" % used, words)  # a server that names no policy
    for limit, own, name in (
        (needs - 1, 0, r"redis\.max_memory_mb"),
        (0, needs - 1, "its maxmemory"),
        (needs - 1, needs, r"redis\.max_memory_mb"),
        (needs, needs - 1, "its maxmemory"),
    ):
        with pytest.raises(MemoryFullError, match=rf"uses 1\.0 of [\d.]+ MB \({name}\)"):
            MemoryGuard(limit).check(info(used, own), words)
    with pytest.raises(EvictionPolicyError, match="volatile-ttl"):
        MemoryGuard(needs).check(info(used, policy="volatile-ttl"), words)
