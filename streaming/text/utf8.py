"""UTF-8 in compiled code: decode a character, encode one, recognise white space beyond ASCII."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from streaming.text.blocks import U
from streaming.text.jit import inlined

BROKEN: Final = U(0xFFFD)


@inlined
def decode(data: NDArray[np.uint8], at: np.uint64, stop: np.uint64) -> tuple[np.uint64, np.uint64]:
    """Decode the character at `at`: its code point and size in bytes. Invalid UTF-8 is U+FFFD, byte by byte.

    Python's decoder may replace several such bytes by one U+FFFD. It spoils its run either way, so bags are equal.
    """
    lead = U(data[at])
    if lead < U(0x80):
        return lead, U(1)
    left = stop - at
    if lead < U(0xC2) or lead > U(0xF4) or left < U(2):
        return BROKEN, U(1)
    second = U(data[at + U(1)])
    if second & U(0xC0) != U(0x80):
        return BROKEN, U(1)
    if lead < U(0xE0):
        return ((lead & U(0x1F)) << U(6)) | (second & U(0x3F)), U(2)
    if left < U(3) or U(data[at + U(2)]) & U(0xC0) != U(0x80):
        return BROKEN, U(1)
    third = U(data[at + U(2)]) & U(0x3F)
    if lead < U(0xF0):
        point = ((lead & U(0x0F)) << U(12)) | ((second & U(0x3F)) << U(6)) | third
        if point < U(0x800) or (point >= U(0xD800) and point < U(0xE000)):
            return BROKEN, U(1)
        return point, U(3)
    if left < U(4) or U(data[at + U(3)]) & U(0xC0) != U(0x80):
        return BROKEN, U(1)
    point = ((lead & U(0x07)) << U(18)) | ((second & U(0x3F)) << U(12)) | (third << U(6))
    point |= U(data[at + U(3)]) & U(0x3F)
    if point < U(0x10000) or point > U(0x10FFFF):
        return BROKEN, U(1)
    return point, U(4)


@inlined
def white_space_size(data: NDArray[np.uint8], at: np.uint64, stop: np.uint64) -> np.uint64:
    """Return the size in bytes of the non-ASCII white space at `at`; 0 if there is none.

    C1 controls and U+00A0; U+1680; U+2000 to U+200B, U+2028, U+2029, U+202F, U+205F; U+3000.
    """
    lead = U(data[at])
    if lead < U(0xC2) or lead > U(0xE3) or at + U(1) >= stop:
        return U(0)
    second = U(data[at + U(1)])
    if lead == U(0xC2):
        return U(2) if second >= U(0x80) and second <= U(0xA0) else U(0)
    if lead < U(0xE1) or at + U(2) >= stop:
        return U(0)
    third = U(data[at + U(2)])
    if lead == U(0xE1):
        return U(3) if second == U(0x9A) and third == U(0x80) else U(0)
    if lead == U(0xE3):
        return U(3) if second == U(0x80) and third == U(0x80) else U(0)
    if second == U(0x81):
        return U(3) if third == U(0x9F) else U(0)
    if second != U(0x80) or third < U(0x80):
        return U(0)
    white = third <= U(0x8B) or third == U(0xA8) or third == U(0xA9) or third == U(0xAF)
    return U(3) if white else U(0)


@inlined
def encode(word: NDArray[np.uint8], at: np.uint64, point: np.uint64) -> np.uint64:
    """Encode a character as UTF-8 at `at`. Returns where the next one goes."""
    if point < U(0x80):
        word[at] = np.uint8(point)
        return at + U(1)
    if point < U(0x800):
        word[at] = np.uint8(U(0xC0) | (point >> U(6)))
        word[at + U(1)] = np.uint8(U(0x80) | (point & U(0x3F)))
        return at + U(2)
    if point < U(0x10000):
        word[at] = np.uint8(U(0xE0) | (point >> U(12)))
        word[at + U(1)] = np.uint8(U(0x80) | ((point >> U(6)) & U(0x3F)))
        word[at + U(2)] = np.uint8(U(0x80) | (point & U(0x3F)))
        return at + U(3)
    word[at] = np.uint8(U(0xF0) | (point >> U(18)))
    word[at + U(1)] = np.uint8(U(0x80) | ((point >> U(12)) & U(0x3F)))
    word[at + U(2)] = np.uint8(U(0x80) | ((point >> U(6)) & U(0x3F)))
    word[at + U(3)] = np.uint8(U(0x80) | (point & U(0x3F)))
    return at + U(4)
