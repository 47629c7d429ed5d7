"""The vocabulary of a worker: an open-addressing hash table, one look-up a word.

Ids are assigned in the order in which this worker meets the words, so they mean nothing outside it. The entry of a word
is four 64-bit integers, half a cache line:

    FIRST, SECOND  the first sixteen bytes as two blocks, zero-padded (words contain no NUL byte)
    PLACE          low 32 bits: length in bytes; high 32 bits: position of the remaining blocks in the arena
    MARK           high 32 bits: the last document with the word; low 32 bits: its position in that document's bag

A slot of the hash table holds 32 bits of the hash and the id + 1 (0 is a free slot). Words with equal hashes are
distinguished by length and bytes, so a collision costs time, never a count.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from streaming.text.blocks import U, block, head
from streaming.text.jit import compiled, inlined

FIRST, SECOND, PLACE, MARK = U(0), U(1), U(2), U(3)
LOW32 = U(0xFFFFFFFF)
HIGH32 = U(0xFFFFFFFF00000000)
TF_BITS: Final = 36
TF_MASK = U((1 << TF_BITS) - 1)
ONE_DOCUMENT = U(1 << TF_BITS)
_FACTOR = U(0x9E3779B97F4A7C15)

MISSING: Any = -1
NO_ROOM: Any = -2
WORDS, ARENA_USED = U(0), U(1)
"""Indices into `Tables.used`: number of words, and of arena blocks in use."""


class Tables(NamedTuple):
    """The arrays of a vocabulary, as compiled code takes them."""

    slots: NDArray[np.uint64]  # [power of two]
    entries: NDArray[np.uint64]  # [4 * capacity]
    counts: NDArray[np.uint64]  # [capacity] pending: low 36 bits term frequency, high 28 bits document frequency
    arena: NDArray[np.uint64]  # words over sixteen bytes: blocks from the third on
    used: NDArray[np.uint64]  # [2]


@inlined
def mixed(hashed: np.uint64, word: np.uint64) -> np.uint64:
    """Mix a block into a hash. A word's hash starts at 0 and covers at least two blocks (the second may be 0)."""
    hashed = (hashed ^ word) * _FACTOR
    return hashed ^ (hashed >> U(32))


@inlined
def same(
    tables: Tables,
    entry: np.uint64,
    first: np.uint64,
    second: np.uint64,
    length: np.uint64,
    key: NDArray[np.uint64],
    where: np.uint64,
) -> bool:
    """Whether an entry holds this word, by length and bytes."""
    entries, arena = tables.entries, tables.arena
    if (
        entries[(entry << U(2)) | FIRST] != first
        or entries[(entry << U(2)) | SECOND] != second
        or entries[(entry << U(2)) | PLACE] & LOW32 != length
    ):
        return False
    if length > U(16):
        start = entries[(entry << U(2)) | PLACE] >> U(32)
        for n in range(((length - U(1)) >> U(3)) - U(1)):
            if arena[start + U(n)] != key[where + U(n) + U(2)]:
                return False
    return True


@inlined
def find(
    tables: Tables,
    first: np.uint64,
    second: np.uint64,
    length: np.uint64,
    hashed: np.uint64,
    key: NDArray[np.uint64],
    where: np.uint64,
) -> np.int64:
    """Return the id of a word, or MISSING. Words over 16 bytes have all their blocks in `key`, from `where` on."""
    slots = tables.slots
    mask = U(slots.size) - U(1)
    at = hashed & mask
    while True:
        slot = slots[at]
        if slot == U(0):
            return MISSING
        if (slot ^ hashed) & HIGH32 == U(0):
            entry = (slot & LOW32) - U(1)
            if same(tables, entry, first, second, length, key, where):
                return np.int64(entry)
        at = (at + U(1)) & mask


@inlined
def add(
    tables: Tables,
    first: np.uint64,
    second: np.uint64,
    length: np.uint64,
    hashed: np.uint64,
    key: NDArray[np.uint64],
    where: np.uint64,
) -> np.int64:
    """Add a word that `find` missed. Returns its id, or NO_ROOM with nothing changed."""
    slots, entries, counts, arena, used = tables
    entry = used[WORDS]
    start = used[ARENA_USED]
    further = ((length - U(1)) >> U(3)) - U(1) if length > U(16) else U(0)
    if entry >= U(tables.counts.size) or start + further > U(arena.size):
        return NO_ROOM
    entries[(entry << U(2)) | FIRST] = first
    entries[(entry << U(2)) | SECOND] = second
    entries[(entry << U(2)) | PLACE] = (start << U(32)) | length
    entries[(entry << U(2)) | MARK] = U(0)
    counts[entry] = U(0)
    for n in range(further):
        arena[start + U(n)] = key[where + U(n) + U(2)]
    used[WORDS] = entry + U(1)
    used[ARENA_USED] = start + further
    place(slots, hashed, entry)
    return np.int64(entry)


@inlined
def place(slots: NDArray[np.uint64], hashed: np.uint64, entry: np.uint64) -> None:
    """Store an id in the first free slot for its hash."""
    mask = U(slots.size) - U(1)
    at = hashed & mask
    while slots[at] != U(0):
        at = (at + U(1)) & mask
    slots[at] = (hashed & HIGH32) | (entry + U(1))


@compiled
def _rehash(tables: Tables) -> None:
    slots, entries, _, arena, used = tables
    for n in range(used[WORDS]):
        entry = U(n)
        hashed = mixed(mixed(U(0), entries[(entry << U(2)) | FIRST]), entries[(entry << U(2)) | SECOND])
        length = entries[(entry << U(2)) | PLACE] & LOW32
        start = entries[(entry << U(2)) | PLACE] >> U(32)
        if length > U(16):
            for further in range(((length - U(1)) >> U(3)) - U(1)):
                hashed = mixed(hashed, arena[start + U(further)])
        place(slots, hashed, entry)


@compiled
def _add_spans(
    tables: Tables, key: NDArray[np.uint64], data: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> int:
    for n in range(starts.size):
        at, stop = U(starts[n]), U(ends[n])
        length = stop - at
        key[1] = U(0)
        hashed = U(0)
        blocks = max(U(2), (length + U(7)) >> U(3))
        for b in range(blocks):
            key[b] = head(block(data, at, stop), stop - at) if at < stop else U(0)
            hashed = mixed(hashed, key[b])
            at += U(8)
        entry = find(tables, key[0], key[1], length, hashed, key, U(0))
        if entry == MISSING and add(tables, key[0], key[1], length, hashed, key, U(0)) == NO_ROOM:
            return NO_ROOM
    return 0


@compiled
def _lengths(entries: NDArray[np.uint64], ids: NDArray[np.uint32], ends: NDArray[np.int64]) -> None:
    total = np.int64(0)
    for n in range(ids.size):
        total += np.int64(entries[(U(ids[n]) << U(2)) | PLACE] & LOW32)
        ends[n] = total


@compiled
def _gather(tables: Tables, ids: NDArray[np.uint32], out: NDArray[np.uint8]) -> None:
    _, entries, _, arena, _ = tables
    at = U(0)
    for n in range(ids.size):
        entry = U(ids[n])
        length = entries[(entry << U(2)) | PLACE] & LOW32
        start = entries[(entry << U(2)) | PLACE] >> U(32)
        for b in range((length + U(7)) >> U(3)):
            word = entries[(entry << U(2)) | U(b)] if b < 2 else arena[start + U(b) - U(2)]
            for _byte in range(min(U(8), length - (U(b) << U(3)))):
                out[at] = np.uint8(word & U(0xFF))
                word >>= U(8)
                at += U(1)


@compiled
def _take(counts: NDArray[np.uint64], ids: NDArray[np.uint32], tf: NDArray[np.int64], df: NDArray[np.int64]) -> None:
    out = 0
    for n in range(counts.size):
        if counts[n] != U(0):
            ids[out] = n
            tf[out] = np.int64(counts[n] & TF_MASK)
            df[out] = np.int64(counts[n] >> U(TF_BITS))
            counts[n] = U(0)
            out += 1


class Vocabulary:
    """Words and their pending counts. Grows by doubling, up to the memory there is; words are never evicted."""

    def __init__(self) -> None:
        self.tables = _room(1 << 16, 1 << 14)

    def __len__(self) -> int:
        return int(self.tables.used[0])

    @property
    def nbytes(self) -> int:
        """Address space of the arrays in bytes; untouched pages are not resident."""
        return sum(array.nbytes for array in self.tables)

    def add_all(self, words: Sequence[bytes]) -> None:
        """Add words in this order. Words must not be empty or contain NUL bytes."""
        ends = np.cumsum([len(word) for word in words], dtype=np.int64)
        starts = np.concatenate((np.zeros(1, np.int64), ends))[:-1]
        data = np.frombuffer(b"".join(words), np.uint8)
        key = np.empty(max(map(len, words), default=0) // 8 + 2, np.uint64)
        while _add_spans(self.tables, key, data, starts, ends) == NO_ROOM:
            self.grow(key.size)

    def grow(self, blocks: int) -> None:
        """Make room for at least one more word of at most `blocks` blocks. Ids do not change."""
        old, words, blocks_used = self.tables, len(self), int(self.tables.used[1])
        if blocks_used + blocks > old.arena.size:
            new = old._replace(arena=np.empty(2 * old.arena.size + blocks, np.uint64))
            if new.arena.size > 1 << 32:
                raise MemoryError("the vocabulary exceeds 32 GiB: choose a profile with a dictionary")
            new.arena[:blocks_used] = old.arena[:blocks_used]
            self.tables = old = new
        if words == old.counts.size:
            new = _room(2 * old.slots.size, 0)._replace(arena=old.arena, used=old.used)
            new.entries[: 4 * words] = old.entries
            new.counts[:words] = old.counts
            _rehash(new)
            self.tables = new

    def words(self, ids: NDArray[np.uint32]) -> pa.Array:
        """Return the words with these ids as `string` (`large_string` from 2 GiB on).

        Raises:
            IndexError: An id is not in the vocabulary.
        """
        ids = np.ascontiguousarray(ids, np.uint32)
        if ids.size and int(ids.max()) >= len(self):
            raise IndexError(f"word id {int(ids.max())} is not among the {len(self)} words of this worker")
        offsets = np.zeros(ids.size + 1, np.int64)
        _lengths(self.tables.entries, ids, offsets[1:])
        data = np.empty(int(offsets[-1]), np.uint8)
        _gather(self.tables, ids, data)
        if data.size >= 1 << 31:
            return pa.LargeStringArray.from_buffers(ids.size, pa.py_buffer(offsets), pa.py_buffer(data))
        return pa.StringArray.from_buffers(ids.size, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(data))

    def take_counts(self) -> tuple[NDArray[np.uint32], NDArray[np.int64], NDArray[np.int64]]:
        """Return and clear pending counts: ids, term frequencies, document frequencies."""
        counts = self.tables.counts[: len(self)]
        pending = np.count_nonzero(counts)
        ids, tf, df = np.empty(pending, np.uint32), np.empty(pending, np.int64), np.empty(pending, np.int64)
        _take(counts, ids, tf, df)
        return ids, tf, df

    def drop_counts(self) -> None:
        """Clear all pending counts."""
        self.tables.counts[: len(self)] = 0

    def drop_marks(self) -> None:
        """Clear the marks of the last document of each word, so that documents can be numbered from 1 again."""
        self.tables.entries[int(MARK) : 4 * len(self) : 4] = 0


def _room(slots: int, blocks: int) -> Tables:
    """Allocate empty tables; the hash table is at most 5/8 full."""
    return Tables(
        np.zeros(slots, np.uint64),
        np.empty(4 * (slots * 5 // 8), np.uint64),
        np.empty(slots * 5 // 8, np.uint64),
        np.empty(blocks, np.uint64),
        np.zeros(2, np.uint64),
    )
