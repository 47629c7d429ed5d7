"""WARC header blocks of a whole Arrow batch: the span of each wanted field, without a Python object per line.

The grammar is that of ISO 28500:2017, section 4: lines `name: value` up to an empty line, names in any case, and a line
that begins with a blank continues the value before it. As real files need it, a bare LF is a line end too. The first of
several fields of the same name is taken. Lines without a colon are ignored. WARC/1.0 writes URIs in angle brackets;
they are no part of the URI.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from streaming.text.jit import compiled, inlined, one_compiler

FIELDS: Final = (
    "warc-type",
    "warc-target-uri",
    "warc-date",
    "warc-record-id",
    "warc-identified-content-language",
    "content-length",
)
TYPE, URI, DATE, RECORD_ID, LANGUAGE, LENGTH = range(len(FIELDS))

_NAMES = np.zeros((len(FIELDS), 40), np.uint8)
for _row, _name in enumerate(FIELDS):
    _NAMES[_row, : len(_name)] = np.frombuffer(_name.encode(), np.uint8)
_NAME_LENGTHS = np.array([len(name) for name in FIELDS], np.int64)


class Headers:
    """Header fields of n messages, as spans into their data buffer.

    Attributes:
        payloads: int64 [n], where the payload begins; -1 if the message is not a WARC record.
        spans: int64 [n, fields, 2], begin and end of each value without the blanks around it; (-1, -1) if the field is
            missing. A value that is folded over several lines still has the line ends in it.
    """

    def __init__(self, data: NDArray[np.uint8], offsets: NDArray[np.int32]) -> None:
        """Read n messages: `data` uint8, `offsets` int32 [n + 1]; message i is data[offsets[i]:offsets[i + 1]]."""
        n = max(len(offsets) - 1, 0)
        self._data = data
        self.payloads = np.full(n, -1, np.int64)
        self.spans = np.full((n, len(FIELDS), 2), -1, np.int64)
        self._folded = np.zeros((n, len(FIELDS)), np.bool_)
        with one_compiler():
            _scan(data, offsets.astype(np.int64), _NAMES, _NAME_LENGTHS, self.payloads, self.spans, self._folded)

    def field(self, number: int) -> pa.Array:
        """Return the values of one field as strings, null where missing; bytes that are not UTF-8 become U+FFFD."""
        values = gather_spans(self._data, self.spans[:, number, 0], self.spans[:, number, 1])
        if self._folded[:, number].any():
            unfolded = values.to_pylist()
            for i in np.flatnonzero(self._folded[:, number]).tolist():
                unfolded[i] = _unfold(unfolded[i])
            values = pa.array(unfolded, pa.binary())
        try:
            return values.cast(pa.string())
        except pa.ArrowInvalid:
            decoded = [None if value is None else value.decode("utf-8", "replace") for value in values.to_pylist()]
            return pa.array(decoded, pa.string())


def _unfold(value: bytes) -> bytes:
    """Join the lines of a value, with one space for the line end and the blanks around it."""
    *lines, last = value.split(b"\n")
    parts = [*(line.removesuffix(b"\r").strip(b" \t") for line in lines), last.strip(b" \t")]
    return b" ".join(part for part in parts if part)


def gather_spans(data: NDArray[np.uint8], begins: NDArray[np.int64], ends: NDArray[np.int64]) -> pa.BinaryArray:
    """Copy the spans data[begins[i]:ends[i]] into a binary array; null where begins[i] is negative."""
    missing = begins < 0
    sizes = np.where(missing, 0, ends - begins)
    offsets = np.zeros(len(sizes) + 1, np.int32)
    np.cumsum(sizes, out=offsets[1:])
    gathered = np.empty(int(offsets[-1]), np.uint8)
    with one_compiler():
        _gather(data, begins, sizes, offsets, gathered)
    buffers = [_validity(~missing), pa.py_buffer(offsets), pa.py_buffer(gathered)]
    return pa.Array.from_buffers(pa.binary(), len(sizes), buffers, int(missing.sum()))


def _validity(valid: NDArray[np.bool_]) -> pa.Buffer:
    return pa.py_buffer(np.packbits(valid, bitorder="little"))


@compiled
def _scan(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    names: NDArray[np.uint8],
    name_lengths: NDArray[np.int64],
    payloads: NDArray[np.int64],
    spans: NDArray[np.int64],
    folded: NDArray[np.bool_],
) -> None:
    for i in range(offsets.size - 1):
        at, end = offsets[i], offsets[i + 1]
        # "WARC/"
        if (
            end - at < 5
            or data[at] != 87
            or data[at + 1] != 65
            or data[at + 2] != 82
            or data[at + 3] != 67
            or data[at + 4] != 47
        ):
            continue
        while at < end and data[at] != 10:
            at += 1
        at += 1
        last = -1  # the field that the next line may continue
        while at < end:
            line = at
            colon = -1
            while at < end and data[at] != 10:
                if colon < 0 and data[at] == 58:
                    colon = at
                at += 1
            if at >= end:
                break  # the header has no end: not a record
            stop = at
            if stop > line and data[stop - 1] == 13:
                stop -= 1
            at += 1
            if stop == line:
                payloads[i] = at
                break
            if data[line] == 32 or data[line] == 9:
                if last >= 0:
                    begin, stop = _trim(data, line, stop)
                    if begin < stop:
                        # The blanks before a value may be folded as well: then this is its beginning.
                        if spans[i, last, 0] == spans[i, last, 1]:
                            spans[i, last, 0] = begin
                        else:
                            folded[i, last] = True
                        spans[i, last, 1] = stop
                continue
            last = -1
            if colon < 0:
                continue
            name_end = colon
            while name_end > line and (data[name_end - 1] == 32 or data[name_end - 1] == 9):
                name_end -= 1
            length = name_end - line
            for f in range(name_lengths.size):
                if length != name_lengths[f] or spans[i, f, 0] >= 0:
                    continue
                same = True
                for k in range(length):
                    c = data[line + k]
                    if 65 <= c <= 90:
                        c += np.uint8(32)
                    if c != names[f, k]:
                        same = False
                        break
                if same:
                    spans[i, f, 0], spans[i, f, 1] = _trim(data, colon + 1, stop)
                    last = f
                    break
        begin, stop = spans[i, URI, 0], spans[i, URI, 1]
        if stop - begin >= 2 and data[begin] == 60 and data[stop - 1] == 62:  # <uri>
            spans[i, URI, 0], spans[i, URI, 1] = begin + 1, stop - 1


@inlined
def _trim(data: NDArray[np.uint8], begin: int, end: int) -> tuple[int, int]:
    """Leave out blanks at both ends of [begin, end)."""
    while begin < end and (data[begin] == 32 or data[begin] == 9):
        begin += 1
    while end > begin and (data[end - 1] == 32 or data[end - 1] == 9):
        end -= 1
    return begin, end


@compiled
def _gather(
    data: NDArray[np.uint8],
    begins: NDArray[np.int64],
    sizes: NDArray[np.int64],
    offsets: NDArray[np.int32],
    into: NDArray[np.uint8],
) -> None:
    for i in range(sizes.size):
        for k in range(sizes[i]):
            into[offsets[i] + k] = data[begins[i] + k]


@compiled
def scan_keys(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    kinds: NDArray[np.uint8],
    kind_lengths: NDArray[np.int64],
    max_source_bytes: int,
    kind: NDArray[np.int8],
    begins: NDArray[np.int64],
    ends: NDArray[np.int64],
    places: NDArray[np.int64],
) -> None:
    """Scan message keys backwards, so that the name of a source cannot imitate the numbers behind it.

    Fills `kind`, the span `begins`, `ends` of the source, and the four `places` of each key; leaves foreign ones alone.

    Args:
        data: uint8, the keys one after the other.
        offsets: int64 [n + 1], where each begins.
        kinds: uint8 [kinds, width], the words that a key may begin with, each with its space.
        kind_lengths: int64 [kinds], their lengths.
        max_source_bytes: A longer source name makes a key foreign.
        kind: int8 [n], filled with -1.
        begins: int64 [n], filled with -1.
        ends: int64 [n].
        places: int64 [n, 4], filled with -1.
    """
    for i in range(offsets.size - 1):
        begin, at = offsets[i], offsets[i + 1] - 1
        # Backwards: the place of the next record up to "-", then the record's own place up to "@".
        good = True
        for half in range(2):
            stop = 45 if half == 0 else 64
            member = 2 - 2 * half
            places[i, member + 1] = 0
            for part in range(2):
                value, power, digits = np.int64(0), np.int64(1), 0
                while at >= begin and 48 <= data[at] <= 57 and digits < 18:
                    value += power * np.int64(data[at] - 48)
                    power *= 10
                    digits += 1
                    at -= 1
                if digits == 0 or at < begin:
                    good = False
                    break
                if part == 0 and data[at] == 43:
                    places[i, member + 1] = value
                    at -= 1
                    continue
                places[i, member] = value
                good = data[at] == stop
                at -= 1
                break
            if not good:
                break
        end = at + 1
        known = False
        for k in range(kind_lengths.size if good else 0):
            length = kind_lengths[k]
            if end - begin <= length or end - begin - length > max_source_bytes:
                continue
            same = True
            for j in range(length):
                if data[begin + j] != kinds[k, j]:
                    same = False
                    break
            if not same:
                continue
            joined = places[i, 2] == places[i, 0] and places[i, 3] == places[i, 1]
            behind = places[i, 2] > places[i, 0] or (places[i, 2] == places[i, 0] and places[i, 3] > places[i, 1])
            # Only a cut record, which has no end yet, is followed by its own place.
            if behind or (joined and k > 0):
                known = True
                kind[i] = k
                begins[i], ends[i] = begin + length, end
            break
        if not known:
            for j in range(4):
                places[i, j] = -1
