"""Garbage in Redis: the key is named with the remedy, nothing is written, and a rebuild repairs everything."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis import Redis

from serving.verify.verify import verify
from sinks.documents.files import write_document_file
from sinks.documents.generations import Generation
from sinks.documents.schema import DOCUMENTS
from sinks.documents.table import Documents
from sinks.keys import (
    STATISTICS,
    Keys,
    build_number_key,
    builds_key,
    generations_key,
    growth_key,
    lease_key,
    live_key,
    pipeline_pattern,
    requests_key,
)
from sinks.lease import Lease, LeaseError
from sinks.observations import Observer
from sinks.requests import take_request
from sinks.statistics.builds import StatisticsBuilds
from sinks.statistics.errors import CorruptStatisticsError
from sinks.statistics.stored import parse_counts, parse_int, parse_word_counts
from sinks.storage.folder import Folder
from tests.examples import examples
from tests.sinks.batches import WORDS, row

PIPELINE = "corrupt"
FIRST = [row(0, dict.fromkeys(WORDS, 2)), row(1, None, "too_few_words")]
SECOND = [row(2, dict.fromkeys(WORDS, 1)), row(3, None, "too_few_words")]
# Of each statistic, what is put there: the next commit reads it.
GARBAGE: dict[str, Callable[[Redis, Keys], object]] = {
    "words": lambda client, keys: client.hset(keys.words, "alpha", "many"),
    "df_words": lambda client, keys: client.hset(keys.df_words, "1", "many"),
    "df_tokens": lambda client, keys: client.hset(keys.df_tokens, "1", "1.5"),
    "totals": lambda client, keys: client.hset(keys.totals, "records", ""),
    "lengths": lambda client, keys: client.hset(keys.lengths, "8", "\xff"),
    "reasons": lambda client, keys: client.hset(keys.reasons, "too_few_words", "two"),
    "sources": lambda client, keys: client.hset(keys.sources, "records\ta", "0x10"),
    "languages": lambda client, keys: client.hset(keys.languages, "pages\tunknown", "-"),
    "position": lambda client, keys: client.set(keys.position, "nowhere"),
    "commit": lambda client, keys: client.hset(keys.commit, "finish", '{"id/0": "1"}'),
    "top": lambda client, keys: client.zadd(keys.top, {word: float("-inf") for word in "abcde"}),
}


@pytest.fixture
def documents(tmp_path: Path) -> Documents:
    table = Documents.create(Folder(tmp_path / "g1"), {"profile": "p21"})
    table.bind_topic("records", "id", 1)
    return table


@pytest.fixture
def builds(redis_client: Redis, documents: Documents) -> StatisticsBuilds:
    """Counted up to the first micro-batch, while the table has the second, too."""
    for key in redis_client.scan_iter(pipeline_pattern(PIPELINE)):
        redis_client.delete(key)
    builds = StatisticsBuilds(redis_client, PIPELINE, chunk_words=3, top_words=5)
    for rows in (FIRST, SECOND):
        file = write_document_file(
            documents.location, pa.Table.from_pylist(rows, schema=DOCUMENTS), compression_level=1
        )
        documents.commit([file], {"id/0": rows[-1]["topic_offset"] + 1})
        if rows is FIRST:
            catch_up(builds, documents)
    return builds


def catch_up(builds: StatisticsBuilds, documents: Documents) -> None:
    builds.catch_up(Generation("g1", documents), documents.position())


def live(client: Redis) -> Keys:
    prefix = client.get(live_key(PIPELINE))
    assert isinstance(prefix, bytes)
    return Keys(prefix.decode())


def assert_rebuild_repairs(builds: StatisticsBuilds, documents: Documents, client: Redis) -> None:
    builds.rebuild(Generation("g1", documents), documents.position())
    result = verify(client, PIPELINE, documents)
    assert result.ok, result.differences


@pytest.mark.parametrize("name", STATISTICS)
def test_a_key_of_another_type_is_named(
    name: str, builds: StatisticsBuilds, documents: Documents, redis_client: Redis
) -> None:
    key = getattr(live(redis_client), name)
    redis_client.delete(key)
    redis_client.rpush(key, "mine")
    with pytest.raises(CorruptStatisticsError, match=rf":{name} is a list, not a \w+: run `wetstream rebuild`"):
        catch_up(builds, documents)
    assert_rebuild_repairs(builds, documents, redis_client)


@pytest.mark.parametrize("name", GARBAGE)
def test_a_malformed_value_is_named(
    name: str, builds: StatisticsBuilds, documents: Documents, redis_client: Redis
) -> None:
    keys = live(redis_client)
    GARBAGE[name](redis_client, keys)
    with pytest.raises(CorruptStatisticsError, match=rf":{name} (holds|has) .*: run `wetstream rebuild`"):
        catch_up(builds, documents)
    assert_rebuild_repairs(builds, documents, redis_client)


@pytest.mark.parametrize("value", ["another:prefix:", "ws:{corrupt}:g1.1", "\xff", ""])
@pytest.mark.parametrize("key", [live_key(PIPELINE), generations_key(PIPELINE), builds_key(PIPELINE)])
@pytest.mark.parametrize("kind", ["value", "type"])
def test_malformed_build_names_are_refused(
    kind: str, key: str, value: str, builds: StatisticsBuilds, documents: Documents, redis_client: Redis
) -> None:
    if kind == "type":
        redis_client.delete(key)
        redis_client.rpush(key, value)
    elif key == live_key(PIPELINE):
        redis_client.set(key, value)
    elif key == generations_key(PIPELINE):
        redis_client.hset(key, "g1", value)
    else:
        redis_client.sadd(key, value)
    if kind == "type" or key != builds_key(PIPELINE):
        with pytest.raises(CorruptStatisticsError, match=r"Redis key ws:\{corrupt\}:\w+ (is|holds) .*rebuild"):
            catch_up(builds, documents)
    assert_rebuild_repairs(builds, documents, redis_client)


def test_a_rebuild_skips_the_numbers_of_builds_that_are_in_use(
    builds: StatisticsBuilds, documents: Documents, redis_client: Redis
) -> None:
    before = live(redis_client)
    redis_client.set(build_number_key(PIPELINE), "seven")
    assert_rebuild_repairs(builds, documents, redis_client)
    assert live(redis_client) != before


@pytest.mark.parametrize("value", ["garbage", "[]", '{"pid": 1}', '{"host": "h", "pid": "x"}'])
def test_malformed_lease_is_named(value: str, redis_client: Redis) -> None:
    redis_client.set(lease_key(PIPELINE), value)
    with pytest.raises(LeaseError, match=r":writer holds something that is no writer lease: delete it"):
        Lease(redis_client, lease_key(PIPELINE), lease_s=5).acquire()
    redis_client.delete(lease_key(PIPELINE))
    redis_client.rpush(lease_key(PIPELINE), value)
    with pytest.raises(LeaseError, match=r":writer holds something that is no writer lease: delete it"):
        Lease(redis_client, lease_key(PIPELINE), lease_s=5).acquire()
    redis_client.delete(lease_key(PIPELINE))


@pytest.mark.parametrize("value", ["garbage", "[]", "{}", '{"ends": {"a": 1}, "id": "x"}', '{"ends": [], "id": "x"}'])
def test_malformed_request_is_dropped_and_reported(
    value: str, redis_client: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    redis_client.delete(requests_key(PIPELINE))
    redis_client.rpush(requests_key(PIPELINE), value)
    with caplog.at_level(logging.WARNING, "wetstream"):
        assert take_request(redis_client, PIPELINE) is None
    assert "requests held something that is no request" in caplog.text
    assert not redis_client.exists(requests_key(PIPELINE))


@pytest.mark.parametrize("value", ["garbage", "[]", "{}", '{"generation": "g1", "tokens": "x"}'])
def test_corrupt_growth_curve_starts_over(value: str, redis_client: Redis) -> None:
    redis_client.delete(growth_key(PIPELINE))
    redis_client.rpush(growth_key(PIPELINE), value)
    Observer(redis_client, PIPELINE).begin(Keys("none:"), "g1")
    assert not redis_client.exists(growth_key(PIPELINE))


ENTRIES = st.lists(st.tuples(st.integers(0, 1 << 40), st.integers(0, 1 << 40)).map(sorted), min_size=1, max_size=9)


# What `int` or NumPy would take for numbers, and two entries of which one has the other's number.
GARBLED = st.sampled_from(
    ["1_6 1", "+5 3", "5  3", " 5 3", "5 3 ", "5\n3", "5\t3", "\u0665 3", "5 3 2", "5", "1e3 2", "2 3"]
)


@pytest.mark.fuzz
@examples(100)
@given(entries=ENTRIES, place=st.integers(0, 8), garbage=st.text("0123456789 .-x_+\n", max_size=6) | GARBLED)
def test_word_entries_are_parsed_or_the_malformed_one_is_shown(
    entries: list[list[int]], place: int, garbage: str
) -> None:
    texts = [f"{tf} {df}".encode() for df, tf in entries]
    assert parse_word_counts("key", texts).tolist() == [[tf, df] for df, tf in entries]
    texts[place % len(texts)] = garbage.encode()
    valid = re.fullmatch(r"([0-9]+) ([0-9]+)", garbage)
    if valid and int(valid[1]) >= int(valid[2]):
        assert parse_word_counts("key", texts)[place % len(texts)].tolist() == [int(valid[1]), int(valid[2])]
    else:
        with pytest.raises(CorruptStatisticsError, match="key holds"):
            parse_word_counts("key", texts)


def test_no_entry_lends_a_number_to_another() -> None:
    with pytest.raises(CorruptStatisticsError, match="'5 4 3'"):
        parse_word_counts("key", [b"5 4 3", b"2", b"7 1"])


@pytest.mark.parametrize("value", ["1_6", " 16", "16\n", "+16", "\u0661\u0666", "1e3", "0x10", "", "9" * 20])
def test_what_is_no_count_is_refused(value: str) -> None:
    assert parse_int("key", "f", b"-16") == -16 and parse_int("key", "f", None) == 0
    with pytest.raises(CorruptStatisticsError, match=r"key holds .* not a number"):
        parse_int("key", "f", value.encode())
    with pytest.raises(CorruptStatisticsError, match=r"key holds .* not a number"):
        parse_counts("key", {b"good": b"1", b"f": value.encode()})
