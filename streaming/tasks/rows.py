"""Collects the documents rows of a task, to be written as one file."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sinks.documents.hosts import hosts_of
from sinks.documents.schema import DOCUMENTS
from streaming.tasks.messages import Messages
from streaming.text.judge import Judgement
from streaming.text.kernel import Bagger

COLUMNS = [name for name in DOCUMENTS.names if name not in ("words", "counts")]


class RowBuffer:
    """Rows of documents. Words stay ids of the worker's vocabulary until `table` is called."""

    def __init__(self) -> None:
        self._batches: list[pa.RecordBatch] = []
        self._lengths: list[NDArray[np.int64]] = []
        self._words: list[NDArray[np.uint32]] = []
        self._counts: list[NDArray[np.int32]] = []
        self._kept: list[NDArray[np.bool_]] = []

    def __len__(self) -> int:
        return sum(batch.num_rows for batch in self._batches)

    def add(self, messages: Messages, partition: pa.Array, offset: pa.Array, judged: Judgement) -> None:
        """Add n rows.

        Args:
            messages: A batch of n messages.
            partition: Their topic partitions, int32.
            offset: Their topic offsets, int64.
            judged: Their judgements.
        """
        bags = judged.bags
        reasons = [early or late for early, late in zip(messages.reason, judged.reasons, strict=True)]
        columns = {
            "source": messages.source,
            "record_offset": messages.record_offset,
            "inner_offset": messages.inner_offset,
            "next_offset": messages.next_offset,
            "next_inner": messages.next_inner,
            "topic_partition": partition,
            "topic_offset": offset,
            "records": pa.array(messages.records),
            "record_id": messages.record_id,
            "url": messages.url,
            "host": hosts_of(messages.url.to_pylist()),
            "date": messages.date,
            "language": pa.array(judged.languages, pa.string()),
            "language_method": pa.array(judged.methods, pa.string()),
            "reason": pa.array(reasons, pa.string()),
            "tokens": pa.array(bags.lengths, pa.int64()),
            "payload_bytes": pa.array(messages.payload_bytes),
        }
        schema = pa.schema([DOCUMENTS.field(name) for name in COLUMNS])
        self._batches.append(pa.RecordBatch.from_arrays([columns[name] for name in COLUMNS], schema=schema))
        self._lengths.append(np.diff(bags.offsets))
        self._words.append(bags.words)
        self._counts.append(bags.counts)
        self._kept.append(bags.kept)

    def table(self, bagger: Bagger) -> pa.Table:
        """Return all rows in the order they were added, in the columns of DOCUMENTS; `words` is dictionary-encoded."""
        rows = pa.Table.from_batches(self._batches)
        lengths, words = np.concatenate(self._lengths), np.concatenate(self._words)
        counts, kept = np.concatenate(self._counts), np.concatenate(self._kept)
        # The dictionary holds only the words of these rows, not the whole vocabulary of the worker.
        used = np.zeros(len(bagger), np.bool_)
        used[words] = True
        renumbered = np.cumsum(used, dtype=np.int32) - np.int32(1)
        dictionary = bagger.words(np.flatnonzero(used).astype(np.uint32)).cast(pa.string())
        entries = pa.DictionaryArray.from_arrays(pa.array(renumbered[words]), dictionary)
        offsets = np.zeros(len(lengths) + 1, np.int32)
        np.cumsum(lengths, out=offsets[1:])
        rejected = pa.array(~kept)
        bag = pa.ListArray.from_arrays(pa.array(offsets), entries, mask=rejected)
        numbers = pa.ListArray.from_arrays(pa.array(offsets), pa.array(counts), mask=rejected)
        made = {name: rows[name] for name in COLUMNS} | {"words": bag, "counts": numbers}
        return pa.table({name: made[name] for name in DOCUMENTS.names})
