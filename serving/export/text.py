"""Rows of CORPUS as lines of text, made by Arrow a batch at a time."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def pairs(batch: pa.RecordBatch, separator: str, *, first_id: int = 0) -> pa.Array:
    """A text a document: `id:count` for each of its words, `separator` between them; the first word is `first_id`."""
    ids = batch.column("ids")
    found = _text(pc.add(ids.flatten(), pa.scalar(first_id, pa.int32())))
    joined = pc.binary_join_element_wise(found, _text(batch.column("counts").flatten()), ":")
    return pc.binary_join(pa.ListArray.from_arrays(_bounds(ids), joined), separator)


def word_numbers(batch: pa.RecordBatch) -> pa.Array:
    """A text a document: how many distinct words it has."""
    return _text(batch.column("ids").value_lengths())


def triples(batch: pa.RecordBatch, first_document: int) -> pa.Array:
    """A text an entry of the matrix: `document word count`, both from 1 on; the batch begins with `first_document`."""
    ids = batch.column("ids")
    row = np.repeat(np.arange(first_document + 1, first_document + 1 + len(ids)), ids.value_lengths().to_numpy())
    word = _text(pc.add(ids.flatten(), pa.scalar(1, pa.int32())))
    return pc.binary_join_element_wise(_text(pa.array(row)), word, _text(batch.column("counts").flatten()), " ")


def lines(texts: pa.Array) -> memoryview:
    """The texts, each with a line end, as bytes."""
    ended = pc.binary_join_element_wise(texts, "", "\n")
    _, bounds, data = ended.buffers()
    ends = np.frombuffer(bounds, np.int32)[ended.offset : ended.offset + len(ended) + 1]
    return memoryview(data)[ends[0] : ends[-1]] if data is not None else memoryview(b"")


def _text(numbers: pa.Array) -> pa.Array:
    return numbers.cast(pa.string())


def _bounds(lists: pa.ListArray) -> pa.Array:
    """Offsets into the flattened list, also of a slice."""
    return pc.subtract(lists.offsets, lists.offsets[0])
