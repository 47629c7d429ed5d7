"""The statistics sink against a real Redis: once, in step, whole."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import ConnectionPool, Redis
from redis.exceptions import ConnectionError

from sinks.position import EMPTY_POSITION, Position
from sinks.statistics.commit import StatisticsCommit
from sinks.statistics.errors import CorruptStatisticsError, NotInStepError, StatisticsError
from sinks.statistics.store import Statistics
from sinks.statistics.sums import Sums, negated
from sinks.statistics.transactions import TransactionPipeline, transaction_pipeline
from tests.sinks.batches import WORDS, documents, expected_words, held, row, sums_of
from wetstream.servers.embedded import Endpoints

Make = Callable[..., Statistics]
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def counts(client: Redis, statistics: Statistics, name: str) -> dict[str, int]:
    return {field.decode(): int(n) for field, n in client.hgetall(getattr(statistics.keys, name)).items()}


@QUICK
@given(rows=documents(), cuts=st.lists(st.integers(0, 12), max_size=3), chunk_words=st.integers(1, 9))
def test_any_split_into_micro_batches_and_chunks_gives_the_same(
    rows: list[dict[str, object]], cuts: list[int], chunk_words: int, make_statistics: Make, redis_client: Redis
) -> None:
    whole = make_statistics(chunk_words=50)
    whole.commit(sums_of(rows), EMPTY_POSITION, {"t/0": len(rows) + 1})
    at_once = held(redis_client, whole.keys)
    parts = make_statistics(chunk_words=chunk_words)
    ends = sorted({min(cut, len(rows)) for cut in cuts} | {len(rows)})
    begin, position = 0, {}
    for end in ends:
        finish = {"t/0": end + 1}
        parts.commit(sums_of(rows[begin:end]), position, finish)
        begin, position = end, finish
    assert held(redis_client, parts.keys) == at_once


@QUICK
@given(rows=documents())
def test_stored_counts_equal_a_plain_count(
    rows: list[dict[str, object]], make_statistics: Make, redis_client: Redis
) -> None:
    statistics = make_statistics()
    statistics.commit(sums_of(rows), EMPTY_POSITION, {"t/0": 99})
    tf, df = expected_words(rows)
    kept = [r for r in rows if r["reason"] is None]
    entries = redis_client.hgetall(statistics.keys.words)
    assert {word.decode(): entry.decode() for word, entry in entries.items()} == {w: f"{tf[w]} {df[w]}" for w in tf}
    totals = counts(redis_client, statistics, "totals")
    assert totals.get("records", 0) == len(rows)
    assert totals.get("documents", 0) == len(kept)
    assert totals.get("words", 0) == len(tf)
    assert totals.get("tokens", 0) == sum(tf.values())
    assert sum(counts(redis_client, statistics, "lengths").values()) == len(kept)
    assert sum(counts(redis_client, statistics, "reasons").values()) == len(rows) - len(kept)
    histogram = counts(redis_client, statistics, "df_words")
    assert {int(d): n for d, n in histogram.items()} == {d: list(df.values()).count(d) for d in df.values()}
    tokens = counts(redis_client, statistics, "df_tokens")
    assert {int(d): n for d, n in tokens.items()} == {d: sum(tf[w] for w in df if df[w] == d) for d in df.values()}
    ranked = [
        (word.decode(), -score) for word, score in redis_client.zrange(statistics.keys.top, 0, -1, withscores=True)
    ]
    assert ranked == sorted(tf.items(), key=lambda item: (-item[1], item[0].encode()))[:5]


@pytest.mark.parametrize("spare", [10, 100_000])
def test_removal_reranks_the_remaining_words(
    spare: int, make_statistics: Make, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sinks.statistics.store.SPARE_RANKED", spare)
    # Many scans of HSCAN's; only three different tf; the words that were ranked first go.
    words = {f"word{n:05d}": 1 + n * 7919 % 3 for n in range(30_000)}
    statistics = make_statistics(chunk_words=2_000, top_words=350)
    gone = sums_of([row(1, {word: 5 for word, tf in words.items() if tf > 2})])
    statistics.commit(sums_of([row(0, words)]), EMPTY_POSITION, {"t/0": 1})
    statistics.commit(gone, {"t/0": 1}, {"t/0": 2})
    statistics.commit(negated(gone), {"t/0": 2}, {"t/0": 3})
    statistics.rerank()
    ranked = redis_client.zrange(statistics.keys.top, 0, -1, withscores=True)
    expected = sorted(words.items(), key=lambda item: (-item[1], item[0]))[:350]
    assert [(word.decode(), -score) for word, score in ranked] == expected
    assert redis_client.hget(statistics.keys.as_of, "ranks") is None


@QUICK
@given(stays=documents(6), goes=documents(6), top_words=st.sampled_from([2, 50]))
def test_what_is_taken_out_leaves_no_trace(
    stays: list[dict[str, object]],
    goes: list[dict[str, object]],
    top_words: int,
    make_statistics: Make,
    redis_client: Redis,
) -> None:
    """Whatever is ranked has its present count, also before the words are ranked again."""
    right = make_statistics(top_words=top_words)
    right.commit(sums_of(stays), EMPTY_POSITION, {"t/0": 1})
    expected = held(redis_client, right.keys)
    statistics = make_statistics(top_words=top_words)
    statistics.commit(sums_of([*stays, *goes]), EMPTY_POSITION, {"t/0": 2})
    statistics.commit(negated(sums_of(goes)), {"t/0": 2}, {"t/0": 1})
    entries = redis_client.hgetall(statistics.keys.words)
    ranked = redis_client.zrange(statistics.keys.top, 0, -1, withscores=True)
    assert all(entries[word].split()[0] == b"%d" % -score for word, score in ranked)
    assert len(ranked) == len(entries) or top_words == 2
    statistics.rerank()
    assert held(redis_client, statistics.keys) == expected


def test_of_words_as_frequent_as_the_last_ranked_the_first_are_ranked(
    make_statistics: Make, redis_client: Redis
) -> None:
    statistics = make_statistics(top_words=2)
    statistics.commit(sums_of([row(0, {"b": 2, "d": 2, "z": 9})]), EMPTY_POSITION, {"t/0": 1})
    statistics.commit(sums_of([row(1, {"a": 2, "c": 2})]), {"t/0": 1}, {"t/0": 2})
    assert redis_client.zrange(statistics.keys.top, 0, -1) == [b"z", b"a"]


def test_every_count_has_its_field(make_statistics: Make, redis_client: Redis) -> None:
    statistics = make_statistics()
    rows = [row(0, {"alpha": 2, "beta": 1}), row(1, None, "too_few_words"), row(2, {"alpha": 1}, source="b")]
    statistics.commit(sums_of(rows), EMPTY_POSITION, {"t/0": 3})
    assert counts(redis_client, statistics, "sources") == {
        "records\ta": 2,
        "documents\ta": 1,
        "tokens\ta": 3,
        "payload_bytes\ta": 21,
        "rejected\ttoo_few_words\ta": 1,
        "records\tb": 1,
        "documents\tb": 1,
        "tokens\tb": 1,
        "payload_bytes\tb": 12,
    }
    assert counts(redis_client, statistics, "lengths") == {"3": 1, "1": 1}
    assert counts(redis_client, statistics, "reasons") == {"too_few_words": 1}
    assert counts(redis_client, statistics, "days") == {"pages\tunknown": 3, "documents\tunknown": 2}
    languages = {"pages\tunknown": 2, "documents\tunknown": 2, "pages\teng": 1}
    assert counts(redis_client, statistics, "languages") == languages
    tlds = {"pages\torg": 1, "documents\torg": 1, "pages\tuk": 1, "pages\taddress": 1, "documents\taddress": 1}
    assert counts(redis_client, statistics, "tlds") == tlds


def test_a_score_that_is_no_term_frequency_is_named(make_statistics: Make, redis_client: Redis) -> None:
    statistics = make_statistics(top_words=1)
    redis_client.zadd(statistics.keys.top, {"a": float("-inf")})
    with pytest.raises(CorruptStatisticsError, match=r":top has a score that is no term frequency"):
        statistics.commit(sums_of([row(0, {"alpha": 2})]), EMPTY_POSITION, {"t/0": 1})


def test_a_commit_made_twice_counts_once(make_statistics: Make, redis_client: Redis) -> None:
    statistics = make_statistics()
    sums = sums_of([row(0, {"alpha": 2, "beta": 1})])
    statistics.commit(sums, EMPTY_POSITION, {"t/0": 1})
    once = held(redis_client, statistics.keys)
    statistics.commit(sums, EMPTY_POSITION, {"t/0": 1})
    assert held(redis_client, statistics.keys) == once


@pytest.mark.parametrize("chunks_before_the_crash", [1, 2])
def test_half_applied_commit_resumes_after_its_last_word(
    chunks_before_the_crash: int, make_statistics: Make, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    sums = sums_of([row(0, dict.fromkeys(WORDS, 2)), row(1, {"alpha": 1})])
    whole = make_statistics(chunk_words=50)
    whole.commit(sums, EMPTY_POSITION, {"t/0": 2})
    right = held(redis_client, whole.keys)

    passed = []

    def crash(point: str) -> None:
        passed.append(point)
        if passed.count("redis-chunk") == chunks_before_the_crash:
            raise KeyboardInterrupt

    cut = make_statistics(chunk_words=3)
    monkeypatch.setattr("sinks.statistics.commit.crash_point", crash)
    with pytest.raises(KeyboardInterrupt):
        cut.commit(sums, EMPTY_POSITION, {"t/0": 2})
    monkeypatch.undo()
    half = cut.half_applied()
    assert half == {"t/0": 2}
    assert cut.position() == {}
    # Cut differently the second time: what counts is the word, not the number of the chunk.
    again = make_statistics(chunk_words=2, fresh=False)
    again.commit(sums, EMPTY_POSITION, {"t/0": 2})
    assert held(redis_client, again.keys) == right
    assert again.half_applied() is None


def test_lost_reply_in_the_middle_of_a_commit_is_detected(
    make_statistics: Make, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    sums = sums_of([row(0, dict.fromkeys(WORDS, 2))])
    right = counted_once(make_statistics, redis_client, sums)
    statistics = make_statistics()
    written = TransactionPipeline.receive_exec

    def lose(transaction: TransactionPipeline, commands: int) -> bool:
        assert written(transaction, commands)
        raise ConnectionError("lost")

    monkeypatch.setattr(TransactionPipeline, "receive_exec", lose)
    with pytest.raises(ConnectionError):
        statistics.commit(sums, EMPTY_POSITION, {"t/0": 1})
    monkeypatch.undo()
    assert statistics.half_applied() == {"t/0": 1}
    statistics.commit(sums, EMPTY_POSITION, {"t/0": 1})
    assert held(redis_client, statistics.keys) == right


@pytest.mark.parametrize("chunks_of_the_rival", ["one", "some"])
def test_write_between_our_read_and_write_is_detected(
    chunks_of_the_rival: str, make_statistics: Make, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    sums = sums_of([row(0, dict.fromkeys(WORDS, 2))])
    right = counted_once(make_statistics, redis_client, sums)
    statistics = make_statistics()
    rival = make_statistics(chunk_words=50 if chunks_of_the_rival == "one" else 2, fresh=False)
    between(monkeypatch, lambda: rival.commit(sums, EMPTY_POSITION, {"t/0": 1}))
    statistics.commit(sums, EMPTY_POSITION, {"t/0": 1})
    assert held(redis_client, statistics.keys) == right


@settings(QUICK, max_examples=200)
@given(
    before=documents(),
    rows=documents(),
    sizes=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    turns=st.lists(st.booleans(), max_size=30),
    first=st.booleans(),
)
def test_interleaved_commits_of_one_micro_batch_count_once(
    before: list[dict[str, object]],
    rows: list[dict[str, object]],
    sizes: tuple[int, int],
    turns: list[bool],
    first: bool,
    make_statistics: Make,
    redis_client: Redis,
) -> None:
    """A turn of the other one comes between two chunks, and between what a chunk reads and what it writes."""
    sums, start = sums_of(rows), EMPTY_POSITION if first else {"t/0": 1}

    def begun(chunk_words: int) -> Statistics:
        statistics = make_statistics(chunk_words=chunk_words)
        if not first:
            statistics.commit(sums_of(before), EMPTY_POSITION, {"t/0": 1})
        return statistics

    alone = begun(50)
    alone.commit(sums, start, {"t/0": 2})
    right = held(redis_client, alone.keys)
    keys = begun(50).keys  # the same, without it
    left = iter(turns)

    with ExitStack() as stack:
        both = [
            (
                StatisticsCommit(keys, sums, start, {"t/0": 2}, chunk_words=size, top_words=5),
                stack.enter_context(transaction_pipeline(redis_client)),
            )
            for size in sizes
        ]
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        done, at_work = [False, False], [False, False]

        def turn(number: int) -> None:
            if done[number] or at_work[number]:
                return
            commit, transaction = both[number]
            at_work[number] = True
            done[number] = commit.step(transaction)
            at_work[number] = False

        def at(point: str) -> None:
            # Only one is in the midst of it; the other one's whole turns come between.
            if point == "redis-chunk-read" and not all(at_work):
                while next(left, False):
                    turn(at_work.index(False))

        patch.setattr("sinks.statistics.commit.crash_point", at)
        while not all(done):
            turn(int(next(left, done[0])))
    assert held(redis_client, keys) == right


def test_a_rival_that_counts_something_else_is_not_joined(
    make_statistics: Make, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = sums_of([row(1, {"beta": 3})])
    right = counted_once(make_statistics, redis_client, theirs)
    statistics, rival = make_statistics(), make_statistics(fresh=False)
    between(monkeypatch, lambda: rival.commit(theirs, EMPTY_POSITION, {"t/0": 1}))
    with pytest.raises(NotInStepError, match=r"Redis is at .*t/0"):
        statistics.commit(sums_of([row(0, {"alpha": 2}), row(1, {"beta": 3})]), EMPTY_POSITION, {"t/0": 2})
    assert held(redis_client, statistics.keys) == right


def test_watch_lost_with_its_connection_prevents_the_write(
    make_statistics: Make, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    sums = sums_of([row(0, dict.fromkeys(WORDS, 2))])
    right = counted_once(make_statistics, redis_client, sums)
    rival = make_statistics()
    settings = {**redis_client.connection_pool.connection_kwargs, "client_name": "ours"}
    with Redis(connection_pool=ConnectionPool(**settings)) as ours:

        def lose() -> None:
            for client in redis_client.client_list():
                if client["name"] == "ours":
                    redis_client.client_kill_filter(_id=client["id"])
            rival.commit(sums, EMPTY_POSITION, {"t/0": 1})

        between(monkeypatch, lose)
        statistics = Statistics(ours, rival.keys, chunk_words=3, top_words=5)
        with pytest.raises(ConnectionError):
            statistics.commit(sums, EMPTY_POSITION, {"t/0": 1})
        assert held(redis_client, rival.keys) == right
        statistics.commit(sums, EMPTY_POSITION, {"t/0": 1})
    assert held(redis_client, rival.keys) == right


@pytest.mark.parametrize("collisions", [2, 3])
def test_a_commit_gives_up_beside_something_that_keeps_writing(
    collisions: int, make_statistics: Make, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sinks.statistics.commit.MAX_COLLISIONS", 2)
    sums = sums_of([row(0, dict.fromkeys(WORDS, 2))])
    right = counted_once(make_statistics, redis_client, sums)
    statistics, left = make_statistics(), iter(range(collisions))

    def touch(point: str) -> None:
        if point == "redis-chunk-read" and next(left, None) is not None:
            redis_client.hset(statistics.keys.as_of, "ranks", "stale")

    monkeypatch.setattr("sinks.statistics.commit.crash_point", touch)
    if collisions > 2:
        with pytest.raises(StatisticsError, match="something else keeps writing to the Redis keys"):
            statistics.commit(sums, EMPTY_POSITION, {"t/0": 1})
    statistics.commit(sums, EMPTY_POSITION, {"t/0": 1})
    assert held(redis_client, statistics.keys) == right


@pytest.mark.parametrize("settings", [{"protocol": 2}, {"protocol": 3}, {"health_check_interval": 1e-9}])
def test_both_protocols_and_health_checks_give_the_same(
    settings: dict[str, float],
    make_statistics: Make,
    servers: Endpoints,
    redis_client: Redis,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """More words than are ranked; a commit that collides, one that is interrupted, and one that takes out."""
    rows = [row(0, {word: n + 1 for n, word in enumerate(WORDS)}), row(1, dict.fromkeys(WORDS[::-2], 2))]
    right = counted_once(make_statistics, redis_client, sums_of(rows))
    keys = make_statistics().keys
    assert servers.redis_url is not None
    with Redis.from_url(servers.redis_url.get_secret_value(), **settings) as client:
        statistics = Statistics(client, keys, chunk_words=2, top_words=5)
        statistics.commit(sums_of(rows[:1]), EMPTY_POSITION, {"t/0": 2})
        between(monkeypatch, lambda: client.hset(keys.as_of, "touched", "1"))
        statistics.commit(sums_of(rows[1:]), {"t/0": 2}, {"t/0": 3})
        with pytest.raises(KeyboardInterrupt):
            interrupt(statistics, sums_of(rows), {"t/0": 3}, {"t/0": 4}, monkeypatch)
        statistics.commit(sums_of(rows), {"t/0": 3}, {"t/0": 4})
        statistics.commit(negated(sums_of(rows)), {"t/0": 4}, {"t/0": 1})
        statistics.rerank()
    assert held(redis_client, keys) == right


def interrupt(
    statistics: Statistics, sums: Sums, start: Position, finish: Position, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Commit, with a KeyboardInterrupt behind the first chunk."""

    def crash(point: str) -> None:
        if point == "redis-chunk":
            monkeypatch.undo()
            raise KeyboardInterrupt

    monkeypatch.setattr("sinks.statistics.commit.crash_point", crash)
    statistics.commit(sums, start, finish)


def test_malformed_moves_of_a_half_applied_commit_are_named(
    make_statistics: Make, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    statistics, sums = make_statistics(), sums_of([row(0, dict.fromkeys(WORDS, 2))])
    with pytest.raises(KeyboardInterrupt):
        interrupt(statistics, sums, EMPTY_POSITION, {"t/0": 1}, monkeypatch)
    redis_client.hset(statistics.keys.commit, "moves 0", "12345678")
    with pytest.raises(CorruptStatisticsError, match=r":commit holds `moves` that are no array"):
        statistics.commit(sums, EMPTY_POSITION, {"t/0": 1})


@pytest.mark.parametrize("half", ["", '{"t/0":1}', b"\xff"])
@pytest.mark.parametrize("position", ["", '{"t/0":2}', b"\xff"])
def test_a_commit_that_does_not_follow_names_both_places(
    position: str | bytes, half: str | bytes, make_statistics: Make, redis_client: Redis
) -> None:
    statistics = make_statistics()
    redis_client.set(statistics.keys.position, position)
    redis_client.hset(statistics.keys.commit, "finish", half)
    with pytest.raises(NotInStepError) as raised:
        statistics.commit(sums_of([row(0, {"alpha": 2})]), {"t/0": 5}, {"t/0": 6})
    place = half or position or "the beginning"
    place = place.decode(errors="replace") if isinstance(place, bytes) else place
    assert str(raised.value) == f'Redis is at {place}, not at {{"t/0":5}}'


def test_the_time_of_the_last_commit_is_stored(make_statistics: Make, redis_client: Redis) -> None:
    statistics, before = make_statistics(), time.time()
    statistics.commit(sums_of([row(0, {"alpha": 2})]), EMPTY_POSITION, {"t/0": 1})
    stored = redis_client.hget(statistics.keys.as_of, "time")
    assert isinstance(stored, bytes) and before <= float(stored) <= time.time()


def counted_once(make_statistics: Make, client: Redis, sums: Sums) -> dict[str, object]:
    """What is held when these sums are all that was ever committed, to `t/0` = 1."""
    statistics = make_statistics(chunk_words=50)
    statistics.commit(sums, EMPTY_POSITION, {"t/0": 1})
    return held(client, statistics.keys)


def between(monkeypatch: pytest.MonkeyPatch, work: Callable[[], None]) -> None:
    """Have `work` done once, between what the next transaction reads and what it writes."""

    def at(point: str) -> None:
        if point == "redis-chunk-read":
            monkeypatch.undo()
            work()

    monkeypatch.setattr("sinks.statistics.commit.crash_point", at)


def test_a_commit_from_elsewhere_is_refused_and_changes_nothing(make_statistics: Make, redis_client: Redis) -> None:
    statistics = make_statistics()
    statistics.commit(sums_of([row(0, {"alpha": 2})]), EMPTY_POSITION, {"t/0": 1})
    before = held(redis_client, statistics.keys)
    with pytest.raises(NotInStepError, match="t/0"):
        statistics.commit(sums_of([row(5, {"beta": 2})]), {"t/0": 5}, {"t/0": 6})
    assert held(redis_client, statistics.keys) == before


def test_a_key_of_another_type_is_named_and_nothing_is_written(make_statistics: Make, redis_client: Redis) -> None:
    statistics = make_statistics()
    redis_client.set(statistics.keys.lengths, "mine")
    with pytest.raises(CorruptStatisticsError, match=r"lengths is a string, not a hash.*rebuild.*database of its own"):
        statistics.commit(sums_of([row(0, {"alpha": 2})]), EMPTY_POSITION, {"t/0": 1})
    assert not redis_client.exists(statistics.keys.words)
    redis_client.delete(statistics.keys.lengths)
