"""From words to bags: the part that both kernels share.

A kernel records the words of a document, some hundreds at a time; `look_up` then finds all of them in the vocabulary
and counts them. This overlaps the cache misses of many look-ups, and hardly a branch depends on the word.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streaming.text.blocks import U, block, head, prefetch
from streaming.text.jit import inlined, shared
from streaming.text.vocabulary import (
    HIGH32,
    LOW32,
    MARK,
    MISSING,
    NO_ROOM,
    ONE_DOCUMENT,
    Tables,
    add,
    find,
    mixed,
    same,
)

DONE: Final = 0
WORDS_FULL: Final = 1
"""The vocabulary must grow; the same document is then done again."""
BAGS_FULL: Final = 2
"""The bag arrays must grow; the same document is then done again."""

MOST_RECORDS: Final = 1536


class Records(NamedTuple):
    """Words of the current document that wait for their look-up, and scratch space of the compiled code."""

    first: NDArray[np.uint64]  # [MOST_RECORDS] first block
    second: NDArray[np.uint64]  # second block
    hashed: NDArray[np.uint64]
    length: NDArray[np.uint64]  # in bytes
    where: NDArray[np.uint64]  # words over 16 bytes: their position in `key`
    slot: NDArray[np.uint64]
    key: NDArray[np.uint64]  # all blocks of words over 16 bytes


class Output(NamedTuple):
    """Output arrays of the kernels; documented in `streaming.text.kernel.Bags`."""

    valid: NDArray[np.int32]
    dropped: NDArray[np.int32]
    kept: NDArray[np.bool_]
    lengths: NDArray[np.int32]
    offsets: NDArray[np.int64]
    words: NDArray[np.uint32]
    counts: NDArray[np.int32]


# Indices into the progress array.
DOCUMENT = U(0)
"""The next document."""
START, END = U(1), U(2)
"""Bounds of the current bag in `words` and `counts`."""
STAMP = U(3)
"""Sequence number of the current document in this worker, from 1."""
VALID, DROPPED = U(4), U(5)
"""Tokens of the current document so far."""
RECORDS, KEYS = U(6), U(7)
"""Number of records, and of blocks of `key` in use."""
FULL = U(8)
"""1 if the vocabulary had no room for a word."""
PROGRESS: Final = 9

# Indices into the rules array.
STOP_WORDS = U(0)
"""Word ids below this value are stop words."""
MIN_VALID = U(1)
CLOSED = U(2)
"""1 if words outside the dictionary are invalid."""
MIN_LETTERS, KEEP_POSSESSIVES, SPLIT_ADDRESSES, DROP_DOTS = U(3), U(4), U(5), U(6)


@inlined
def begin(out: Output, progress: NDArray[np.int64], document: np.uint64) -> None:
    """Start the bag of a document."""
    progress[DOCUMENT] = np.int64(document)
    progress[START] = progress[END] = out.offsets[document]
    progress[STAMP] += 1
    progress[VALID] = progress[DROPPED] = progress[RECORDS] = progress[KEYS] = progress[FULL] = 0


@inlined
def record(records: Records, at: np.uint64, first: np.uint64, second: np.uint64, length: np.uint64) -> None:
    """Record a word of at most 16 bytes."""
    records.first[at] = first
    records.second[at] = second
    records.length[at] = length
    records.hashed[at] = mixed(mixed(U(0), first), second)


@shared
def record_long(
    data: NDArray[np.uint8],
    at: np.uint64,
    stop: np.uint64,
    fold: np.uint64,
    tables: Tables,
    records: Records,
    out: Output,
    progress: NDArray[np.int64],
    rules: NDArray[np.int64],
) -> None:
    """Record the word `data[at:stop]`, of any length, with the bits of `fold` set in each block."""
    length = stop - at
    blocks = (length + U(7)) >> U(3)
    if progress[RECORDS] >= MOST_RECORDS or U(progress[KEYS]) + blocks > U(records.key.size):
        look_up(tables, records, out, progress, rules)
    n = U(progress[RECORDS])
    where = U(progress[KEYS])
    hashed = U(0)
    key = records.key
    for b in range(max(blocks, U(2))):
        word = head(block(data, at, stop) | fold, stop - at) if at < stop else U(0)
        if b == 0:
            records.first[n] = word
        elif b == 1:
            records.second[n] = word
        if length > U(16):
            key[where + U(b)] = word
        hashed = mixed(hashed, word)
        at += U(8)
    records.length[n] = length
    records.hashed[n] = hashed
    records.where[n] = where
    if length > U(16):
        progress[KEYS] += np.int64(blocks)
    progress[RECORDS] += 1


@shared
def look_up(
    tables: Tables, records: Records, out: Output, progress: NDArray[np.int64], rules: NDArray[np.int64]
) -> None:
    """Count all records into the current bag and clear them."""
    slots, entries = tables.slots, tables.entries
    mask = U(slots.size) - U(1)
    number = U(progress[RECORDS])
    closed = rules[CLOSED] != 0
    stop_words = U(rules[STOP_WORDS])
    stamp = U(progress[STAMP])
    start = U(progress[START])
    end = U(progress[END])
    valid = np.int64(0)
    key = records.key
    for n in range(number):
        slot = slots[records.hashed[n] & mask]
        records.slot[n] = slot
        prefetch(entries, ((slot & LOW32) - U(1)) << U(2))
    for n in range(number):
        slot, hashed = records.slot[n], records.hashed[n]
        first, second, length, where = records.first[n], records.second[n], records.length[n], records.where[n]
        entry = (slot & LOW32) - U(1)
        if (
            slot == U(0)
            or (slot ^ hashed) & HIGH32 != U(0)
            or not same(tables, entry, first, second, length, key, where)
        ):
            found = find(tables, first, second, length, hashed, key, where)
            if found == MISSING:
                if closed:
                    continue
                found = add(tables, first, second, length, hashed, key, where)
                if found == NO_ROOM:
                    progress[FULL] = 1
                    break
            entry = U(found)
        valid += 1
        # Branch-free: the next word is unpredictable, and a mispredicted branch costs more than all of this.
        # A stop word is written to the next free position, and the end does not move.
        mark = entries[(entry << U(2)) | MARK]
        counted = U(entry >= stop_words)
        seen = counted & U(mark >> U(32) == stamp)
        new_place = end - start
        place = new_place ^ ((new_place ^ (mark & LOW32)) & (U(0) - seen))
        out.words[start + place] = np.uint32(entry)
        out.counts[start + place] = out.counts[start + place] * np.int32(seen) + np.int32(1)
        entries[(entry << U(2)) | MARK] = (stamp << U(32)) | place
        end += counted - seen
    progress[VALID] += valid
    progress[DROPPED] += np.int64(number) - valid
    progress[END] = np.int64(end)
    progress[RECORDS] = progress[KEYS] = 0


@inlined
def finish(
    tables: Tables, out: Output, progress: NDArray[np.int64], rules: NDArray[np.int64], document: np.uint64
) -> None:
    """Keep or reject a document by its valid tokens; only kept bags are counted."""
    valid = progress[VALID]
    kept = valid >= rules[MIN_VALID]
    start, end = progress[START], progress[END]
    length = np.int64(0)
    if kept:
        for n in range(start, end):
            times = out.counts[U(n)]
            length += times
            tables.counts[U(out.words[U(n)])] += ONE_DOCUMENT + U(times)
    out.valid[document] = np.int32(valid)
    out.dropped[document] = np.int32(progress[DROPPED])
    out.kept[document] = kept
    out.lengths[document] = np.int32(length)
    out.offsets[document + U(1)] = end if kept else start
