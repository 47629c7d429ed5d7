"""Bags of words by the `ascii` tokenizer: tokens are separated by ASCII white space (docs/text-rules.md).

Most tokens are letters only, or contain a byte that no valid token has: a few bits of `scan` decide. Only tokens with
an apostrophe, a quotation mark or a hyphen are read byte by byte.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streaming.text.bags import (
    BAGS_FULL,
    DOCUMENT,
    DONE,
    DROPPED,
    FULL,
    MOST_RECORDS,
    RECORDS,
    WORDS_FULL,
    Output,
    Records,
    begin,
    finish,
    look_up,
    record,
    record_long,
)
from streaming.text.blocks import FOLD, U, head, load
from streaming.text.jit import compiled, inlined
from streaming.text.scan import OTHER, PIECE, SPECIAL, WHITE, Piece, next_base, scan, window
from streaming.text.vocabulary import Tables

APOSTROPHE, QUOTE, HYPHEN = U(0x27), U(0x22), U(0x2D)


def ascii_kinds() -> NDArray[np.uint64]:
    """Return the byte classes, uint64 [256].

    WHITE; SPECIAL: apostrophe, quotation mark, hyphen; OTHER: bytes that no valid token has; 0: letters.
    """
    kinds = np.full(256, OTHER, np.uint64)
    for byte in range(256):
        if bytes([byte]).isspace():
            kinds[byte] = WHITE
        elif bytes([byte]) in (b"'", b'"', b"-"):
            kinds[byte] = SPECIAL
        elif bytes([byte]).isalpha():
            kinds[byte] = 0
    return kinds


@inlined
def _trimmed(data: NDArray[np.uint8], at: np.uint64, stop: np.uint64) -> tuple[np.uint64, np.uint64]:
    """Trim leading and trailing - ' " off the token `data[at:stop]`; an empty span if it is invalid."""
    while at < stop and (data[at] == APOSTROPHE or data[at] == QUOTE or data[at] == HYPHEN):
        at += U(1)
    end = at
    quoted = False
    for position in range(at, stop):
        byte = U(data[position])
        if (byte | U(0x20)) - U(0x61) < U(26):
            if quoted:
                return at, at
            end = U(position) + U(1)
        elif byte == QUOTE:
            quoted = True
        elif byte != APOSTROPHE and byte != HYPHEN:
            return at, at
    return at, end


@compiled
def bag_ascii(
    data: NDArray[np.uint8],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    kinds: NDArray[np.uint64],
    tables: Tables,
    records: Records,
    piece: Piece,
    out: Output,
    progress: NDArray[np.int64],
    rules: NDArray[np.int64],
) -> int:
    """Bag the documents from `progress[DOCUMENT]` on. Returns DONE, or what must grow before the next call."""
    for number in range(progress[DOCUMENT], starts.size):
        document = U(number)
        begin(out, progress, document)
        if starts[document] < 0:
            out.offsets[document + U(1)] = out.offsets[document]
            continue
        text, stop = U(starts[document]), U(ends[document])
        if out.offsets[document] + np.int64((stop - text) >> U(1)) + 2 > out.words.size:
            return BAGS_FULL
        piece.chunks[0] = piece.chunks[1] = 0
        base = U(0)
        while base < stop - text:
            scan(data, text, stop, base, kinds, piece)
            if progress[RECORDS] + PIECE // 2 + 2 > MOST_RECORDS:
                look_up(tables, records, out, progress, rules)
            dropped = np.int64(0)
            n = U(progress[RECORDS])
            for chunk in range(piece.chunks[1]):
                start, end = piece.begins[U(chunk)], piece.ends[U(chunk)]
                length = end - start
                token, token_end = text + start, text + end
                valid = True
                if start >= base and length <= U(64):
                    valid = window(piece.other, start - base, length) == U(0)
                    if window(piece.special, start - base, length) != U(0) and valid:
                        token, token_end = _trimmed(data, token, token_end)
                        length = token_end - token
                        valid = length != U(0)
                else:
                    token, token_end = _trimmed(data, token, token_end)
                    length = token_end - token
                    valid = length != U(0)
                if length <= U(16) and token + U(16) <= U(data.size):
                    # Recorded unconditionally and kept if valid, so that no branch depends on it.
                    first = head(load(data, token) | FOLD, length)
                    second = head(load(data, token + U(8)) | FOLD, max(length, U(8)) - U(8))
                    record(records, n, first, second, length)
                    n += U(valid)
                    dropped += 1 - np.int64(valid)
                    continue
                if not valid:
                    dropped += 1
                    continue
                progress[RECORDS] = np.int64(n)
                record_long(data, token, token_end, FOLD, tables, records, out, progress, rules)
                n = U(progress[RECORDS])
            progress[RECORDS] = np.int64(n)
            progress[DROPPED] += dropped
            base = next_base(piece, base)
        look_up(tables, records, out, progress, rules)
        if progress[FULL] != 0:
            return WORDS_FULL
        finish(tables, out, progress, rules, document)
    return DONE
