"""Find the chunks of a text (runs between white space), 64 bytes at a time.

A 256-entry table classifies each byte, and the classes of 64 bytes become 64-bit masks. A chunk begins at a byte that
is not white space and follows one that is, so starts and ends are masks too. What a chunk contains is then a question
to a few bits, without reading its bytes again.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streaming.text.blocks import ALL, U, trailing_zeros
from streaming.text.jit import inlined

GROUPS: Final = 16
PIECE: Final = 64 * GROUPS
"""Bytes of text that are scanned in one call."""

WHITE, SPECIAL, OTHER, SPOILER = 1, 1 << 8, 1 << 16, 1 << 24
"""Byte classes; each kernel decides what all but WHITE mean. Spaced to hold the flags of eight bytes."""


class Piece(NamedTuple):
    """The chunks of a piece of text and the classes of its bytes. Positions are relative to the start of the text."""

    begins: NDArray[np.uint64]  # [PIECE / 2 + 2]
    ends: NDArray[np.uint64]
    special: NDArray[np.uint64]  # [GROUPS + 1] masks
    other: NDArray[np.uint64]
    spoiler: NDArray[np.uint64]
    chunks: NDArray[np.int64]  # [2] how many begin, how many end


def new_piece() -> Piece:
    """Allocate a piece."""
    most = PIECE // 2 + 2
    sets = np.zeros(GROUPS + 1, np.uint64)
    return Piece(
        np.empty(most, np.uint64), np.empty(most, np.uint64), sets, sets.copy(), sets.copy(), np.zeros(2, np.int64)
    )


@inlined
def scan(
    data: NDArray[np.uint8], text: np.uint64, stop: np.uint64, base: np.uint64, kinds: NDArray[np.uint64], piece: Piece
) -> None:
    """Scan the piece at `base` of `data[text:stop]`. The start of a chunk carried over is in `begins[0]`."""
    begins, ends, special, other, spoiler, chunks = piece
    begun, ended = U(chunks[0]), U(chunks[1])
    inside = begun
    at = text + base
    for group_ in range(GROUPS):
        group = U(group_)
        if at >= stop:
            special[group] = other[group] = spoiler[group] = U(0)
            continue
        white = specials = others = spoilers = U(0)
        for part in range(8):
            flags = U(0)
            if at + U(8) <= stop:
                for byte in range(8):
                    flags |= kinds[data[at + U(byte)]] << U(byte)
            else:
                for byte in range(8):
                    kind = kinds[data[at + U(byte)]] if at + U(byte) < stop else U(WHITE)
                    flags |= kind << U(byte)
            shift = U(8 * part)
            white |= (flags & U(0xFF)) << shift
            specials |= ((flags >> U(8)) & U(0xFF)) << shift
            others |= ((flags >> U(16)) & U(0xFF)) << shift
            spoilers |= ((flags >> U(24)) & U(0xFF)) << shift
            at += U(8)
        special[group] = specials
        other[group] = others
        spoiler[group] = spoilers
        changes = ~white ^ ((~white << U(1)) | inside)
        inside = ~white >> U(63)
        position = base + (group << U(6))
        beginning = changes & ~white
        while beginning != U(0):
            begins[begun] = position + trailing_zeros(beginning)
            beginning &= beginning - U(1)
            begun += U(1)
        ending = changes & white
        while ending != U(0):
            ends[ended] = position + trailing_zeros(ending)
            ending &= ending - U(1)
            ended += U(1)
    if inside != U(0) and at >= stop:
        ends[ended] = stop - text
        ended += U(1)
    chunks[0] = np.int64(begun)
    chunks[1] = np.int64(ended)


@inlined
def next_base(piece: Piece, base: np.uint64) -> np.uint64:
    """Return where the next piece begins: at an unfinished chunk, so that all its bits lie in one piece.

    Only a chunk longer than a piece is carried over.
    """
    begun, ended = piece.chunks[0], piece.chunks[1]
    piece.chunks[0] = piece.chunks[1] = 0
    if begun > ended:
        open_begin = piece.begins[U(ended)]
        if open_begin > base:
            return open_begin
        piece.begins[0] = open_begin
        piece.chunks[0] = 1
    return base + U(PIECE)


@inlined
def window(sets: NDArray[np.uint64], at: np.uint64, length: np.uint64) -> np.uint64:
    """Return `length` bits (1 to 64) of a mask, starting at bit `at`."""
    group, shift = at >> U(6), at & U(63)
    both = (sets[group] >> shift) | ((sets[group + U(1)] << U(1)) << (U(63) - shift))
    return both & (ALL >> (U(64) - length))
