"""Changes of the histogram of document frequencies add up as plain sums do."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from sinks.statistics.chunk import DfHistogramDelta

AMOUNTS = st.integers(-3, 3)


@given(rows=st.lists(st.tuples(st.integers(0, 4), AMOUNTS, AMOUNTS), max_size=9))
@example(rows=[(1, -1, -4), (1, 1, 2), (1, 1, 2)])  # more words, as many tokens
@example(rows=[(0, 1, 1)])
@example(rows=[(1, -1, -2), (1, 1, 3)])
def test_rows_of_one_df_are_added_up(rows: list[tuple[int, int, int]]) -> None:
    delta = DfHistogramDelta.of(np.array(rows, np.int64).reshape(-1, 3))
    dfs = {df for df, _, _ in rows}
    words = {df: sum(words for at, words, _ in rows if at == df) for df in dfs}
    tokens = {df: sum(tokens for at, _, tokens in rows if at == df) for df in dfs}
    changed = sorted(df for df in dfs if words[df] or tokens[df])
    assert delta.rows.tolist() == [[df, words[df], tokens[df]] for df in changed]
    assert delta.words == sum(words.values())
    assert delta.by_df() == ({str(df): words[df] for df in changed}, {str(df): tokens[df] for df in changed})
    assert DfHistogramDelta.from_bytes(delta.to_bytes()).rows.tolist() == delta.rows.tolist()
