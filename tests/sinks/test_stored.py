"""Values in Redis are parsed, or shown in an error that names their key."""

from __future__ import annotations

import pytest
from redis.exceptions import ResponseError

from sinks.keys import build_prefix
from sinks.statistics.errors import CorruptStatisticsError
from sinks.statistics.stored import explain_wrong_type, parse_counts, parse_position, parse_prefix, parse_word_counts

MOST = (1 << 63) - 2


def test_positions() -> None:
    assert parse_position("key", None) == parse_position("key", b"") == {}
    assert parse_position("key", b'{"id/0":0,"removals":7}') == {"id/0": 0, "removals": 7}


@pytest.mark.parametrize("value", ["nowhere", "[]", "7", '{"a":-1}', '{"a":1.0}', '{"a":true}', '{"a":1,"b":"2"}'])
def test_what_is_no_position_is_shown(value: str) -> None:
    with pytest.raises(CorruptStatisticsError) as raised:
        parse_position("key", value.encode())
    assert raised.value.problem == f"holds {value!r}, not a position"


def test_prefixes_of_the_pipelines_builds() -> None:
    for prefix in (build_prefix("main", "g1", 7), build_prefix("main", "g12", 7, shards=3)):
        assert parse_prefix("main", "key", prefix.encode()) == prefix


@pytest.mark.parametrize("value", [b"ws:{other}:g1.7:", b"ws:{main}:g1.7", b"\xff", b"", b":"])
def test_what_is_no_prefix_of_the_pipeline_is_shown(value: bytes) -> None:
    with pytest.raises(CorruptStatisticsError, match=r"key holds '.*', not the prefix of this pipeline's statistics"):
        parse_prefix("main", "key", value)


def test_a_field_that_is_not_utf_8_is_shown() -> None:
    with pytest.raises(CorruptStatisticsError) as raised:
        parse_counts("key", {b"a": b"1", b"a\xff": b"2"})
    assert raised.value.problem == r"has the field 'a\\xff', which is not UTF-8"


def test_word_counts_up_to_the_limits_of_64_bits() -> None:
    assert parse_word_counts("key", []).tolist() == []
    entries = [f"{MOST} {MOST}".encode(), b"0 0", b"10 1"]
    assert parse_word_counts("key", entries).tolist() == [[MOST, MOST], [0, 0], [10, 1]]


@pytest.mark.parametrize(
    "entry", ["", "1", "1 2", f"{MOST + 1} 1", f"{MOST + 2} 1", "9999999999999999999 1", "1 1 1", "2\n1", "2 -1"]
)
def test_a_malformed_word_count_is_shown_wherever_it_is(entry: str) -> None:
    for entries in ([entry], ["5 3", entry], [entry, "5 3"]):
        with pytest.raises(CorruptStatisticsError) as raised:
            parse_word_counts("key", [one.encode() for one in entries])
        assert raised.value.problem == f"holds {entry!r} for a word, not `<tf> <df>`"


@pytest.mark.parametrize(("length", "shown"), [(38, "x" * 38 + "'"), (39, "x" * 39 + "…"), (60, "x" * 39 + "…")])
def test_a_long_value_is_shown_in_part(length: int, shown: str) -> None:
    with pytest.raises(CorruptStatisticsError) as raised:
        parse_position("key", b"x" * length)
    assert raised.value.problem == f"holds '{shown}, not a position"


def test_tabs_are_shown_as_blanks_and_bytes_as_escapes() -> None:
    with pytest.raises(CorruptStatisticsError) as raised:
        parse_counts("key", {b"pages\ten": b"\xe9"})
    assert raised.value.problem == r"holds '\\xe9' for 'pages en', not a number"


@pytest.mark.parametrize(
    ("message", "key"),
    [
        ("WRONGTYPE Operation against a key", "given"),
        (
            "Command # 2 (HGETALL ws:{main}:g1.1:words) of pipeline caused error: WRONGTYPE Operation",
            "ws:{main}:g1.1:words",
        ),
        ("Command # 12 (HMGET ws:{main}:totals a b) of pipeline caused error: WRONGTYPE", "ws:{main}:totals"),
    ],
)
def test_a_key_of_another_type_is_named(message: str, key: str) -> None:
    error = explain_wrong_type(ResponseError(message), "given")
    assert isinstance(error, CorruptStatisticsError)
    assert (error.key, error.problem) == (key, "is of another type than it should be")


def test_other_errors_are_left_as_they_are() -> None:
    error = ResponseError("NOAUTH Authentication required")
    assert explain_wrong_type(error) is error
