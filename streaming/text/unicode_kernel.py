"""Bags of words by the `unicode` tokenizer: words of any script between punctuation (docs/text-rules.md).

Chunks of plain ASCII letters and punctuation take a fast path: a few bits of `scan` locate their words. All others
(with an apostrophe, a digit, a sign of an address, anything beyond ASCII) are read character by character.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from streaming.text import characters
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
from streaming.text.blocks import ALL, FOLD, U, block, head, load, trailing_zeros
from streaming.text.characters import (
    INVISIBLE,
    JOINER,
    LETTER,
    MARK,
    SEPARATOR,
    SPOILER,
    SPOILING_JOINER,
    Alphabet,
)
from streaming.text.jit import compiled, inlined, shared
from streaming.text.scan import PIECE, Piece, next_base, scan, window
from streaming.text.utf8 import decode, encode, white_space_size
from streaming.text.vocabulary import MISSING, Tables, find, mixed

IDEOGRAPHS_FROM, IDEOGRAPHS_TO = U(characters.IDEOGRAPHS.start), U(characters.IDEOGRAPHS.stop)
DOT: Final = U(0x2E)
WWW: Final = U(int.from_bytes(b"www", "little"))


@inlined
def _kind(alphabet: Alphabet, point: np.uint64) -> np.uint64:
    if point < IDEOGRAPHS_FROM:
        return U(alphabet.kinds[point])
    return U(LETTER) if point < IDEOGRAPHS_TO else U(SEPARATOR)


@inlined
def _is_sign(data: NDArray[np.uint8], at: np.uint64, stop: np.uint64, alphabet: Alphabet) -> bool:
    """Whether a chunk is a single character that no word contains. Half of all chunks beyond ASCII are bullets."""
    point, size = decode(data, at, stop)
    kind = _kind(alphabet, point)
    return at + size == stop and kind != U(LETTER) and kind != U(SPOILER)


@inlined
def _chunk_end(data: NDArray[np.uint8], at: np.uint64, stop: np.uint64) -> tuple[np.uint64, bool]:
    """Return the end of the chunk at `at`, and whether it looks like an address: contains @, // or www."""
    address = slash = blocked = letter = False
    ws = U(0)
    while at < stop and white_space_size(data, at, stop) == U(0):
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
        look_up(tables, records, out, progress, rules)  # frees `key`
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
    """Record the word `alphabet.word[:length]` without a possessive 's, if it has enough letters."""
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
    """Record the words of `data[at:stop]`, which has no ASCII white space, character by character."""
    word = alphabet.word
    while at < stop:
        end, address = _chunk_end(data, at, stop)
        if address and rules[SPLIT_ADDRESSES] == 0:
            while at < end:
                point, size = decode(data, at, end)
                kind = _kind(alphabet, point)
                at += size
                if kind == U(LETTER) or kind == U(SPOILER):
                    progress[DROPPED] += 1
                    break
            at = end
        length = U(0)
        letters = 0
        joiner = U(0)  # code point of a joiner pending the next character, or 0
        spoiled = spoiling = False
        reading = True
        while reading:
            kind = U(SEPARATOR)
            point = U(0)
            if at < end:
                point, size = decode(data, at, end)
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
                length = encode(word, length, U(alphabet.written[point]) if point < IDEOGRAPHS_FROM else point)
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
            at += white_space_size(data, at, stop)


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
    """Bag the documents from `progress[DOCUMENT]` on. Returns DONE, or what must grow before the next call."""
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
                        # At most one run. Recorded unconditionally, kept if it is a word: no branch depends on it.
                        skipped = min(trailing_zeros(runs), U(15))
                        letters = trailing_zeros(~(runs >> skipped))
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
                        skipped = trailing_zeros(runs)
                        letters = trailing_zeros(~(runs >> skipped))
                        run = (ALL >> (U(64) - letters)) << skipped
                        runs ^= run
                        joined = drop_dots and skipped == last_end + U(1) and data[text + start + last_end] == DOT
                        last_end = skipped + letters
                        if joined or run & spoilers != U(0):
                            # Together with the word before the dot, which is taken back, it is a single invalid token.
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
                    # The fast path does not check for room.
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
