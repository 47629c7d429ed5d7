"""Commands encoded from columns are the same bytes as commands encoded argument by argument."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from sinks.statistics.resp import packed, packed_column, packed_rows
from sinks.statistics.word_counts import packed_entries

values = st.lists(st.binary(max_size=12), max_size=9)


def plain(*arguments: bytes) -> bytes:
    """The command as the Redis protocol specification has it."""
    parts = b"".join(b"$" + str(len(part)).encode() + b"\r\n" + part + b"\r\n" for part in arguments)
    return b"*" + str(len(arguments)).encode() + b"\r\n" + parts


def test_arguments_may_be_bytes_text_and_numbers() -> None:
    assert packed("SET", b"\xff\r\n", "\xe9", -12) == plain(b"SET", b"\xff\r\n", b"\xc3\xa9", b"-12")


@given(column=values, begin=st.integers(0, 9), end=st.integers(0, 9))
def test_a_part_of_a_column_is_encoded_like_its_values(column: list[bytes], begin: int, end: int) -> None:
    encoded = packed_column(pa.array(column, pa.binary()))[begin:end]
    assert packed_rows(["HMGET", "key"], encoded, 1) == plain(b"HMGET", b"key", *column[begin:end])


@given(rows=st.lists(st.tuples(st.binary(max_size=5), st.integers(0, 1 << 62), st.integers(0, 1 << 62)), max_size=9))
def test_entries_of_words_are_two_arguments_each(rows: list[tuple[bytes, int, int]]) -> None:
    words = packed_column(pa.array([word for word, _, _ in rows], pa.binary()))
    tf, df = (np.array([row[column] for row in rows], np.int64) for column in (1, 2))
    arguments = [part for word, tf, df in rows for part in (word, b"%d %d" % (tf, df))]
    assert packed_rows(["HSET", 7], packed_entries(words, tf, df), 2) == plain(b"HSET", b"7", *arguments)
