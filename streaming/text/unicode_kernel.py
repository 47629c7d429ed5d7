"""Bags of words by the `unicode` tokenizer: words of any script between punctuation (docs/text-rules.md).

Chunks of plain ASCII letters and punctuation take the short way: a few bits of `scan` say where their words are. All
others (an apostrophe, a digit, a sign of an address, anything beyond ASCII) are read character by character.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from conf.profiles import Profile
from streaming.text import characters
from streaming.text import scan as scan_
from streaming.text.bags import (
    BAGS_FULL,
    DOCUMENT,
    DONE,
    DROP_DOTS,
    DROPPED,
    FULL,
    KEEP_POSSESSIVES,
    MIN_LETTERS,
    MOST_RECORDS,
    RECORDS,
    SPLIT_ADDRESSES,
    STOP_WORDS,
    WORDS_FULL,
    Output,
    Records,
    begin,
    finish,
    look_up,
    record,
    record_long,
)
from streaming.text.blocks import ALL, FOLD, U, block, head, load, zeros
from streaming.text.characters import (
    INVISIBLE,
    JOINER,
    LETTER,
    MARK,
    SEPARATOR,
    SPOILER,
    SPOILING_JOINER,
)
from streaming.text.jit import compiled, inlined, shared
from streaming.text.scan import OTHER, PIECE, SPECIAL, WHITE, Piece, next_base, scan, window
from streaming.text.vocabulary import MISSING, Tables, find, mixed

IDEOGRAPHS_FROM, IDEOGRAPHS_TO = U(characters.IDEOGRAPHS.start), U(characters.IDEOGRAPHS.stop)
BROKEN: Final = U(0xFFFD)
DOT: Final = U(0x2E)
WWW: Final = U(int.from_bytes(b"www", "little"))


class Alphabet(NamedTuple):
    """What characters are and how they are written, by code point; and room for one word."""

    kinds: NDArray[np.uint8]  # [0x20000]
    written: NDArray[np.uint32]  # [0x20000]
    word: NDArray[np.uint8]


def unicode_kinds(profile: Profile) -> NDArray[np.uint64]:
    """[256]: WHITE; SPECIAL: read by character; OTHER: plain punctuation; SPOILER: digits, underscore; 0: letters."""
    kinds = np.full(256, SPECIAL, np.uint64)
    for byte in range(128):
        kind = characters.kind_of(chr(byte), profile)
        if kind == characters.WHITE:
            kinds[byte] = WHITE
        elif kind == LETTER:
            kinds[byte] = 0
        elif kind == characters.SPOILER:
            kinds[byte] = scan_.SPOILER
        elif byte == DOT:
            kinds[byte] = OTHER  # mostly the end of a sentence; where it is not, `bag_unicode` sees it
        elif kind == SEPARATOR and not (chr(byte) in "/@" and profile.addresses == "drop"):
            kinds[byte] = OTHER
    return kinds


@inlined
def _character(data: NDArray[np.uint8], at: np.uint64, stop: np.uint64) -> tuple[np.uint64, np.uint64]:
    """Code point and size in bytes of the character at `at`. What is no UTF-8 is U+FFFD, byte by byte.

    Python's decoder may give one U+FFFD for several such bytes. As it only spoils its run, that makes no difference.
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
def _kind(alphabet: Alphabet, point: np.uint64) -> np.uint64:
    if point < IDEOGRAPHS_FROM:
        return U(alphabet.kinds[point])
    return U(LETTER) if point < IDEOGRAPHS_TO else U(SEPARATOR)


@inlined
def _is_sign(data: NDArray[np.uint8], at: np.uint64, stop: np.uint64, alphabet: Alphabet) -> bool:
    """Whether a chunk is one character that is no part of words. Half of what is not plain is a bullet."""
    point, size = _character(data, at, stop)
    kind = _kind(alphabet, point)
    return at + size == stop and kind != U(LETTER) and kind != U(SPOILER)


@inlined
def _white_bytes(data: NDArray[np.uint8], at: np.uint64, stop: np.uint64) -> np.uint64:
    """How many bytes the white space beyond ASCII takes that is at `at`; 0 if there is none.

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
def _chunk_end(data: NDArray[np.uint8], at: np.uint64, stop: np.uint64) -> tuple[np.uint64, bool]:
    """Where the chunk at `at` ends, and whether it looks like an address: it has an @, two slashes, or www."""
    address = slash = blocked = letter = False
    ws = U(0)
    while at < stop and _white_bytes(data, at, stop) == U(0):
        byte = U(data[at])
        if byte == U(0x40) or (byte == U(0x2F) and slash) or (byte == U(0x2E) and ws == U(3) and not blocked):
            address = True
        slash = byte == U(0x2F)
        if byte | U(0x20) == U(0x77):
            if ws == U(0):
                blocked = letter
            ws += U(1)
        else:
            ws = U(0)
        letter = byte >= U(0x80) or (byte | U(0x20)) - U(0x61) < U(26)
        at += U(1)
    return at, address


@shared
def _is_stop_word(
    word: NDArray[np.uint8],
    length: np.uint64,
    tables: Tables,
    records: Records,
    out: Output,
    progress: NDArray[np.int64],
    rules: NDArray[np.int64],
) -> bool:
    """Whether `word[:length]` is a stop word."""
    key = records.key
    if length > U(16):
        look_up(tables, records, out, progress, rules)  # then `key` is free
    first = second = hashed = U(0)
    for n in range(max(U(2), (length + U(7)) >> U(3))):
        at = U(n) << U(3)
        part = head(block(word, at, length), length - at) if at < length else U(0)
        if n == 0:
            first = part
        elif n == 1:
            second = part
        if length > U(16):
            key[n] = part
        hashed = mixed(hashed, part)
    found = find(tables, first, second, length, hashed, key, U(0))
    return found != MISSING and found < rules[STOP_WORDS]


@inlined
def _note(
    length: np.uint64,
    letters: int,
    alphabet: Alphabet,
    tables: Tables,
    records: Records,
    out: Output,
    progress: NDArray[np.int64],
    rules: NDArray[np.int64],
) -> None:
    """Write down the word `alphabet.word[:length]`, without its possessive 's, if it has letters enough."""
    word = alphabet.word
    possessive = (
        rules[KEEP_POSSESSIVES] == 0
        and length > U(2)
        and word[length - U(1)] == U(0x73)
        and word[length - U(2)] == U(0x27)
    )
    if possessive and not _is_stop_word(word, length, tables, records, out, progress, rules):
        length -= U(2)
        letters -= 1
    if letters < rules[MIN_LETTERS] and not _is_stop_word(word, length, tables, records, out, progress, rules):
        progress[DROPPED] += 1
    elif length > U(16) or progress[RECORDS] >= MOST_RECORDS:
        record_long(word, U(0), length, U(0), tables, records, out, progress, rules)
    else:
        first = head(load(word, U(0)), length)
        second = head(load(word, U(8)), max(length, U(8)) - U(8))
        record(records, U(progress[RECORDS]), first, second, length)
        progress[RECORDS] += 1


@inlined
def _read(
    data: NDArray[np.uint8],
    at: np.uint64,
    stop: np.uint64,
    alphabet: Alphabet,
    tables: Tables,
    records: Records,
    out: Output,
    progress: NDArray[np.int64],
    rules: NDArray[np.int64],
) -> None:
    """The words of `data[at:stop]`, which holds no ASCII white space, character by character."""
    word = alphabet.word
    while at < stop:
        end, address = _chunk_end(data, at, stop)
        if address and rules[SPLIT_ADDRESSES] == 0:
            while at < end:
                point, size = _character(data, at, end)
                kind = _kind(alphabet, point)
                at += size
                if kind == U(LETTER) or kind == U(SPOILER):
                    progress[DROPPED] += 1
                    break
            at = end
        length = U(0)
        letters = 0
        joiner = U(0)  # code point of a joiner that waits for the next character, or 0
        spoiled = spoiling = False
        reading = True
        while reading:
            kind = U(SEPARATOR)
            point = U(0)
            if at < end:
                point, size = _character(data, at, end)
                kind = _kind(alphabet, point)
                at += size
            else:
                reading = False
            if kind == U(LETTER) or kind == U(SPOILER) or (kind == U(MARK) and length > U(0) and joiner == U(0)):
                if joiner != U(0):
                    word[length] = np.uint8(alphabet.written[joiner])
                    length += U(1)
                    spoiled = spoiled or spoiling
                    joiner = U(0)
                letters += 1 if kind == U(LETTER) else 0
                spoiled = spoiled or kind == U(SPOILER)
                length = _write(word, length, U(alphabet.written[point]) if point < IDEOGRAPHS_FROM else point)
            elif kind == U(INVISIBLE):
                continue
            elif (kind == U(JOINER) or kind == U(SPOILING_JOINER)) and length > U(0) and joiner == U(0):
                joiner = point
                spoiling = kind == U(SPOILING_JOINER)
            elif length > U(0):
                if spoiled:
                    progress[DROPPED] += 1
                else:
                    _note(length, letters, alphabet, tables, records, out, progress, rules)
                length = U(0)
                letters = 0
                joiner = U(0)
                spoiled = False
        if at < stop:
            at += _white_bytes(data, at, stop)


@inlined
def _write(word: NDArray[np.uint8], at: np.uint64, point: np.uint64) -> np.uint64:
    """Write a character as UTF-8; where the next one goes."""
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


@compiled
def bag_unicode(
    data: NDArray[np.uint8],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    kinds: NDArray[np.uint64],
    alphabet: Alphabet,
    tables: Tables,
    records: Records,
    piece: Piece,
    out: Output,
    progress: NDArray[np.int64],
    rules: NDArray[np.int64],
) -> int:
    """Bags of the documents from `progress[DOCUMENT]` on; DONE, or what has to grow before it is called again."""
    drop_addresses = rules[SPLIT_ADDRESSES] == 0
    drop_dots = rules[DROP_DOTS] != 0
    shortest = U(rules[MIN_LETTERS])
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
                plain = length <= U(16) and start >= base and text + start + U(32) <= U(data.size)
                plain = plain and window(piece.special, start - base, length) == U(0)
                if plain:
                    before = n
                    spoilers = window(piece.spoiler, start - base, length)
                    runs = window(piece.other, start - base, length) ^ ((U(1) << length) - U(1))
                    if runs & (runs + (runs & (~runs + U(1)))) == U(0):
                        # At most one run. Written down in any case, and kept if it is a word: no branch on that.
                        skipped = min(zeros(runs), U(15))
                        letters = zeros(~(runs >> skipped))
                        at = text + start + skipped
                        first = head(load(data, at) | FOLD, letters)
                        second = head(load(data, at + U(8)) | FOLD, max(letters, U(8)) - U(8))
                        record(records, n, first, second, letters)
                        is_word = (runs != U(0)) & (runs & spoilers == U(0))
                        n += U(is_word)
                        dropped += np.int64((runs & spoilers) != U(0))
                        plain = not (is_word & ((letters < shortest) | ((first == WWW) & drop_addresses)))
                        runs = U(0)
                    spoiled = 0
                    last_end = U(64)
                    last_is_word = False
                    while runs != U(0):
                        skipped = zeros(runs)
                        letters = zeros(~(runs >> skipped))
                        run = (ALL >> (U(64) - letters)) << skipped
                        runs ^= run
                        joined = drop_dots and skipped == last_end + U(1) and data[text + start + last_end] == DOT
                        last_end = skipped + letters
                        if joined or run & spoilers != U(0):
                            # With the word before the dot, which is taken back, it is one token that is no word.
                            n -= U(joined and last_is_word)
                            spoiled += 1 if last_is_word or not joined else 0
                            last_is_word = False
                            continue
                        last_is_word = True
                        at = text + start + skipped
                        first = head(load(data, at) | FOLD, letters)
                        second = head(load(data, at + U(8)) | FOLD, max(letters, U(8)) - U(8))
                        record(records, n, first, second, letters)
                        n += U(1)
                        if letters < shortest or (first == WWW and drop_addresses):
                            plain = False
                            break
                    if plain:
                        dropped += spoiled
                    else:
                        n = before
                if not plain and length <= U(4) and _is_sign(data, text + start, text + end, alphabet):
                    continue
                if not plain:
                    progress[RECORDS] = np.int64(n)
                    _read(data, text + start, text + end, alphabet, tables, records, out, progress, rules)
                    n = U(progress[RECORDS])
                    # The short way never looks whether there is room.
                    if n + U(PIECE // 2 + 2) > U(MOST_RECORDS):
                        progress[RECORDS] = np.int64(n)
                        look_up(tables, records, out, progress, rules)
                        n = U(0)
            progress[RECORDS] = np.int64(n)
            progress[DROPPED] += dropped
            base = next_base(piece, base)
        look_up(tables, records, out, progress, rules)
        if progress[FULL] != 0:
            return WORDS_FULL
        finish(tables, out, progress, rules, document)
    return DONE
