"""WET records as Arrow rows: the columns of the documents table that a file alone can give, and the text."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa

from conf.profiles import Profile
from conf.reasons import STUB_REASONS
from producers.topic.message import read_stub_detail
from sinks.documents.hosts import hosts_of
from sinks.documents.schema import DOCUMENTS
from streaming.tasks.messages import Messages, read_messages
from streaming.text.headers import gather_spans
from streaming.text.judge import judge
from streaming.text.kernel import Bagger

OF_TOPIC = ("topic_partition", "topic_offset")
OF_PROFILE = ("language", "language_method", "tokens", "words", "counts")
# A profile without a dictionary adds every word that it meets to its vocabulary.
MOST_WORDS = 4_000_000


def record_schema(*, judged: bool = False) -> pa.Schema:
    """Return the columns of WET records, all of them nullable.

    They are those of the documents table without the topic's position, and `language_header`, `detail` and `text`.

    Args:
        judged: With the columns that a profile's rules give.
    """
    left_out = OF_TOPIC if judged else (*OF_TOPIC, *OF_PROFILE)
    fields: list[pa.Field] = []
    for field in DOCUMENTS:
        if field.name in left_out:
            continue
        fields.append(pa.field(field.name, field.type))
        if field.name == "date":
            fields.append(pa.field("language_header", pa.string()))
        if field.name == "reason":
            fields.append(pa.field("detail", pa.string()))
    return pa.schema([*fields, pa.field("text", pa.string())])


class RecordRows:
    """Makes rows of messages, by the rules of a profile if one is given.

    Without a profile `reason` says why something is not a page; with one, also why a page is rejected.

    Args:
        profile: The rules; None: pages are not judged.
        columns: Names of the columns to make; None: all.
    """

    def __init__(self, profile: Profile | None = None, columns: Sequence[str] | None = None) -> None:
        self._profile = profile
        self._bagger: Bagger | None = None
        schema = record_schema(judged=profile is not None)
        self.schema = schema if columns is None else pa.schema([schema.field(name) for name in columns])

    def batch(self, keys: pa.Array, values: pa.Array) -> pa.RecordBatch:
        """Return the rows of n messages, given as binary arrays."""
        messages = read_messages(keys, values)
        makers: dict[str, Callable[[], pa.Array]] = {
            "source": lambda: messages.source,
            "record_offset": lambda: messages.record_offset,
            "inner_offset": lambda: messages.inner_offset,
            "next_offset": lambda: messages.next_offset,
            "next_inner": lambda: messages.next_inner,
            "records": lambda: pa.array(messages.records),
            "record_id": lambda: messages.record_id,
            "url": lambda: messages.url,
            "host": lambda: hosts_of(messages.url.to_pylist()),
            "date": lambda: messages.date,
            "language_header": lambda: pa.array(messages.language_header, pa.string()),
            "reason": lambda: pa.array(messages.reason, pa.string()),
            "detail": lambda: _details(messages, values),
            "payload_bytes": lambda: pa.array(messages.payload_bytes),
            "text": lambda: _texts(messages),
        }
        if self._profile is not None:
            makers |= self._judged(self._profile, messages)
        columns = [makers[field.name]().cast(field.type) for field in self.schema]
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)

    def _judged(self, profile: Profile, messages: Messages) -> dict[str, Callable[[], pa.Array]]:
        if self._bagger is None or len(self._bagger) > MOST_WORDS:
            self._bagger = Bagger(profile)
        bagger = self._bagger
        judged = judge(bagger, messages.data, messages.starts, messages.ends, messages.language_header)
        bagger.reset()
        reasons = [early or late for early, late in zip(messages.reason, judged.reasons, strict=True)]
        bags = judged.bags
        offsets, rejected = pa.array(bags.offsets.astype(np.int32)), pa.array(~bags.kept)

        def words() -> pa.Array:
            return pa.ListArray.from_arrays(offsets, bagger.words(bags.words).cast(pa.string()), mask=rejected)

        return {
            "language": lambda: pa.array(judged.languages, pa.string()),
            "language_method": lambda: pa.array(judged.methods, pa.string()),
            "reason": lambda: pa.array(reasons, pa.string()),
            "tokens": lambda: pa.array(bags.lengths),
            "words": words,
            "counts": lambda: pa.ListArray.from_arrays(offsets, pa.array(bags.counts), mask=rejected),
        }


def _details(messages: Messages, values: pa.Array) -> pa.Array:
    return pa.array(
        [
            read_stub_detail(values[i].as_py()) if reason in STUB_REASONS else None
            for i, reason in enumerate(messages.reason)
        ],
        pa.string(),
    )


def _texts(messages: Messages) -> pa.Array:
    """The payloads of pages; bytes that are not UTF-8 become U+FFFD."""
    payloads = gather_spans(messages.data, messages.starts, messages.ends)
    try:
        return payloads.cast(pa.string())
    except pa.ArrowInvalid:
        decoded = [None if payload is None else payload.decode("utf-8", "replace") for payload in payloads.to_pylist()]
        return pa.array(decoded, pa.string())
