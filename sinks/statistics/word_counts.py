"""Term and document frequencies of words: counted from bags of words, and encoded as entries of the hash `words`."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray


def count_words(batch: pa.RecordBatch) -> pa.Table:
    """Count the words of documents rows.

    Args:
        batch: Columns `words` (lists of strings, dictionary-encoded or not; a word is in a list once) and `counts`.

    Returns:
        A row for each distinct word: word (binary), tf and df (int64); in no order.
    """
    words, counts = batch.column("words").flatten(), batch.column("counts").flatten()
    if not pa.types.is_dictionary(words.type):
        words = words.dictionary_encode()
    indices, size = words.indices.to_numpy(), len(words.dictionary)
    # float64 sums are exact up to 2^53, far above the tokens of one batch.
    tf = np.bincount(indices, weights=counts.to_numpy(), minlength=size).astype(np.int64)
    df = np.bincount(indices, minlength=size).astype(np.int64)
    used = np.flatnonzero(df)
    word = words.dictionary.take(pa.array(used)).cast(pa.binary())
    return pa.table({"word": word, "tf": tf[used], "df": df[used]})


def packed_entries(packed_words: pa.BinaryArray, tf: NDArray[np.int64], df: NDArray[np.int64]) -> pa.BinaryArray:
    """Encode words and their entries as arguments of a command.

    Args:
        packed_words: The words, encoded by `resp.packed_column`.
        tf: Their term frequencies.
        df: Their document frequencies.

    Returns:
        For each word the two arguments word and entry.
    """
    tfs, dfs = (pa.array(column).cast(pa.string()) for column in (tf, df))
    lengths = pc.add(pc.add(pc.binary_length(tfs), pc.binary_length(dfs)), 1).cast(pa.string())
    entries = [part.cast(pa.binary()) for part in (lengths, tfs, dfs)]
    return pc.binary_join_element_wise(
        packed_words, b"$", entries[0], b"\r\n", entries[1], b" ", entries[2], b"\r\n", b""
    )
