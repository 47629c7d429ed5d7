"""The entries of the HASH `words`: tf and df of a word as text, `<tf> <df>`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray


def read_counts(entries: Sequence[bytes]) -> NDArray[np.int64]:
    """Tf and df, [n, 2], of n entries."""
    if not entries:
        return np.zeros((0, 2), np.int64)
    return np.fromstring(b" ".join(entries), np.int64, sep=" ").reshape(-1, 2)


def packed_entries(packed_words: pa.BinaryArray, tf: NDArray[np.int64], df: NDArray[np.int64]) -> pa.BinaryArray:
    """Words (as `packed_column` gives them), each followed by its entry as an argument of a command is sent."""
    tfs, dfs = (pa.array(column).cast(pa.string()) for column in (tf, df))
    lengths = pc.add(pc.add(pc.binary_length(tfs), pc.binary_length(dfs)), 1).cast(pa.string())
    entries = [part.cast(pa.binary()) for part in (lengths, tfs, dfs)]
    return pc.binary_join_element_wise(
        packed_words, b"$", entries[0], b"\r\n", entries[1], b" ", entries[2], b"\r\n", b""
    )
