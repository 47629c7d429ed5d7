"""Words of several sets as one: the same whether one thread adds them up or several."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import sinks.statistics.sums
from sinks.statistics.sums import sum_words

WORDS = st.dictionaries(st.binary(max_size=3), st.tuples(st.integers(-3, 9), st.integers(-3, 9)), max_size=30)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sets=st.lists(WORDS, max_size=5), threads=st.integers(1, 4))
def test_several_threads_give_what_a_plain_sum_gives(
    sets: list[dict[bytes, tuple[int, int]]], threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sinks.statistics.sums, "MANY_ROWS", 1)
    monkeypatch.setattr(sinks.statistics.sums, "THREADS", threads)
    tf: Counter[bytes] = Counter()
    df: Counter[bytes] = Counter()
    for words in sets:
        for word, (t, d) in words.items():
            tf[word] += t
            df[word] += d
    found = sum_words([table(words) for words in sets])
    expected = [{"word": word, "tf": tf[word], "df": df[word]} for word in sorted(tf) if tf[word] or df[word]]
    assert found.to_pylist() == expected


def table(words: dict[bytes, tuple[int, int]]) -> pa.Table:
    """A set of words."""
    tf, df = zip(*words.values(), strict=True) if words else ((), ())
    columns = [pa.array(list(words), pa.binary()), pa.array(tf, pa.int64()), pa.array(df, pa.int64())]
    return pa.table(columns, ["word", "tf", "df"])
