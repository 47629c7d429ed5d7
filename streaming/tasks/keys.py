"""Parse message keys, `<kind> <source>@<place>-<next>`, of a whole Arrow batch.

A key is read from its end: after the last `@` only digits and signs are allowed, so a source name cannot imitate any
part of it, whatever it contains. The kind comes first and is one of three words.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from producers.topic.message import KINDS, MAX_SOURCE_BYTES, STUB
from streaming.text.headers import gather_spans, scan_keys
from streaming.text.jit import one_compiler

UNKNOWN_SOURCE = "unknown"
FOREIGN = -1
"""`kind` of a key that no producer of ours wrote."""
RECORD_KIND, STUB_KIND, RETRACTION_KIND = range(len(KINDS))

_KINDS = np.zeros((len(KINDS), 16), np.uint8)
for _row, _name in enumerate(KINDS):
    _KINDS[_row, : len(_name) + 1] = np.frombuffer(f"{_name} ".encode(), np.uint8)
_KIND_LENGTHS = np.array([len(name) + 1 for name in KINDS], np.int64)
assert KINDS[STUB_KIND] == STUB


@dataclass(frozen=True)
class Keys:
    """Parsed keys of n messages.

    Attributes:
        kind: int8 [n], an index into KINDS; FOREIGN for a key that no producer of ours wrote.
        source: string [n]; UNKNOWN_SOURCE where foreign.
        places: int64 [n, 4]: member and inner offset of the record, then of the record after it; -1 where foreign.
    """

    kind: NDArray[np.int8]
    source: pa.Array
    places: NDArray[np.int64]


def read_keys(keys: pa.Array) -> Keys:
    """Parse the binary column `key`; nulls are foreign."""
    data, offsets = binary_buffers(keys)
    n = len(keys)
    kind = np.full(n, FOREIGN, np.int8)
    places = np.full((n, 4), -1, np.int64)
    begins, ends = np.full(n, -1, np.int64), np.full(n, -1, np.int64)
    with one_compiler():
        scan_keys(data, offsets.astype(np.int64), _KINDS, _KIND_LENGTHS, MAX_SOURCE_BYTES, kind, begins, ends, places)
    found = gather_spans(data, begins, ends)
    try:
        source = found.cast(pa.string())
    except pa.ArrowInvalid:
        source = pa.array([_utf8(name) for name in found.to_pylist()], pa.string())
        foreign = source.is_null().to_numpy(zero_copy_only=False)
        kind[foreign], places[foreign] = FOREIGN, -1
    return Keys(kind, pc.fill_null(source, UNKNOWN_SOURCE), places)


def binary_buffers(values: pa.Array) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Data (uint8) and offsets (int32 [n + 1]) of a binary array, also of a slice; a null is an empty value."""
    if values.null_count:
        values = pc.fill_null(values, b"")
    _, offsets, data = values.buffers()
    bounds = np.frombuffer(offsets, np.int32)[values.offset : values.offset + len(values) + 1]
    return (np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)), bounds


def _utf8(name: bytes | None) -> str | None:
    try:
        return None if name is None else name.decode()
    except UnicodeDecodeError:
        return None
