"""Renders rows of CORPUS as lines of text, a batch at a time."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def pairs(batch: pa.RecordBatch, separator: str, *, first_id: int = 0) -> pa.Array:
    """Return a text for each document: `id:count` for its words, joined by `separator`; word 0 has `first_id`."""
    ids = batch.column("ids")
    found = _text(pc.add(ids.flatten(), pa.scalar(first_id, pa.int32())))
    joined = pc.binary_join_element_wise(found, _text(batch.column("counts").flatten()), ":")
    return pc.binary_join(pa.ListArray.from_arrays(_bounds(ids), joined), separator)


def word_numbers(batch: pa.RecordBatch) -> pa.Array:
    """Return a text for each document: its number of distinct words."""
    return _text(batch.column("ids").value_lengths())


def triples(batch: pa.RecordBatch, first_document: int) -> pa.Array:
    """Return a text for each pair: `document word count`, numbered from 1.

    Args:
        batch: Rows of CORPUS.
        first_document: Number of documents before the batch.
    """
    ids = batch.column("ids")
    row = np.repeat(np.arange(first_document + 1, first_document + 1 + len(ids)), ids.value_lengths().to_numpy())
    word = _text(pc.add(ids.flatten(), pa.scalar(1, pa.int32())))
    return pc.binary_join_element_wise(_text(pa.array(row)), word, _text(batch.column("counts").flatten()), " ")


def lines(texts: pa.Array) -> memoryview:
    """Return the texts as bytes, each with a line feed."""
    ended = pc.binary_join_element_wise(texts, "", "\n")
    _, bounds, data = ended.buffers()
    ends = np.frombuffer(bounds, np.int32)[ended.offset : ended.offset + len(ended) + 1]
    return memoryview(data)[ends[0] : ends[-1]] if data is not None else memoryview(b"")


def _text(numbers: pa.Array) -> pa.Array:
    return numbers.cast(pa.string())


def _bounds(lists: pa.ListArray) -> pa.Array:
    """Return offsets into the flattened list; the list may be a slice."""
    return pc.subtract(lists.offsets, lists.offsets[0])
