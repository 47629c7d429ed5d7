"""From payload bytes to bags of words: one `Bagger` per Python worker, reused across micro-batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from conf.errors import counted
from conf.profiles import Profile
from streaming.text import characters
from streaming.text.ascii_kernel import ascii_kinds, bag_ascii
from streaming.text.bags import BAGS_FULL, DONE, MOST_RECORDS, PROGRESS, Output, Records
from streaming.text.jit import one_compiler
from streaming.text.scan import new_piece
from streaming.text.unicode_kernel import bag_unicode
from streaming.text.vocabulary import TF_BITS, Vocabulary

MOST_TOKENS: Final = 1 << TF_BITS
MOST_DOCUMENTS: Final = 1 << (64 - TF_BITS)
"""Pending counts are exact below these limits; a task must take its counts before reaching them."""


@dataclass(frozen=True)
class Bags:
    """Bags of n documents with m entries in all. Arrays by document have n elements."""

    valid_tokens: NDArray[np.int32]
    """Valid tokens, including stop words."""
    dropped_tokens: NDArray[np.int32]
    """Invalid tokens."""
    kept: NDArray[np.bool_]
    """Whether `valid_tokens` reaches the profile's `min_valid_tokens`."""
    lengths: NDArray[np.int32]
    """Valid tokens without stop words; 0 if the document is rejected."""
    offsets: NDArray[np.int64]
    """[n + 1]: document i has words[offsets[i]:offsets[i + 1]]; none if it is rejected."""
    words: NDArray[np.uint32]
    """[m]: word ids in the worker's vocabulary, in order of first appearance in the document."""
    counts: NDArray[np.int32]
    """[m]: occurrences of the word in the document."""


class Bagger:
    """Makes bags of words and accumulates term and document frequencies, by one profile's rules.

    Equals `streaming.text.specification` on any bytes. Not thread-safe.
    """

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.vocabulary = Vocabulary()
        self._alphabet: characters.Alphabet | None = None
        if profile.tokenizer == "ascii":
            self._kinds = ascii_kinds()
        else:
            self._kinds = characters.unicode_kinds(profile)
            self._alphabet = characters.Alphabet(*characters.tables(profile), np.empty(256, np.uint8))
        self._records = Records(*(np.empty(MOST_RECORDS + 1, np.uint64) for _ in Records._fields))
        self._piece = new_piece()
        self._words = np.empty(1 << 16, np.uint32)
        self._counts = np.empty(1 << 16, np.int32)
        self._stamp = 0
        self._pending_tokens = self._pending_documents = 0
        stop_words = sorted(profile.stop_words)
        self._rules = rules(profile)
        with one_compiler():
            self.vocabulary.add_all(stop_words)
            self.vocabulary.add_all(profile.valid_words or [])
            nothing = np.zeros(0, np.int64)
            self.bag(np.zeros(0, np.uint8), nothing, nothing)
            self.take_counts()
            self.words(np.zeros(0, np.uint32))

    def __len__(self) -> int:
        """Number of words in the vocabulary: stop words, dictionary, and, without a dictionary, all words met."""
        return len(self.vocabulary)

    def bag(self, data: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64]) -> Bags:
        """Bag the documents `data[starts[i]:ends[i]]`.

        Args:
            data: uint8, for example the data buffer of an Arrow array; read in place.
            starts: int64 [n], byte positions, in any order, possibly overlapping. A negative start skips the document:
                all its values are 0.
            ends: int64 [n], exclusive.

        Raises:
            ValueError: A span lies outside `data` or ends before it starts.
            OverflowError: Too many documents or tokens since the counts were last taken.
        """
        data, starts, ends = _readable(data, np.uint8), _readable(starts, np.int64), _readable(ends, np.int64)
        n = starts.size
        taken = starts >= 0
        if n != ends.size or (taken & ((ends < starts) | (ends > data.size))).any():
            raise ValueError(
                f"spans must lie within the {counted(data.size, 'byte')} of data and end where or after they start"
            )
        sizes = np.where(taken, ends - starts, 0)
        self._count_on(int(taken.sum()), int(sizes.sum()) // 2 + n)
        longest = int(sizes.max(initial=0))
        self._room_for(longest)
        if self._stamp + 64 * (n + 1) >= 1 << 32:
            self.vocabulary.drop_marks()
            self._stamp = 0
        by_document = (np.zeros(n, np.int32), np.zeros(n, np.int32), np.zeros(n, np.bool_), np.zeros(n, np.int32))
        out = Output(*by_document, np.zeros(n + 1, np.int64), self._words, self._counts)
        progress = np.zeros(PROGRESS, np.int64)
        progress[3] = self._stamp
        while (status := self._run(data, starts, ends, out, progress)) != DONE:
            if status == BAGS_FULL:
                used = int(out.offsets[progress[0]])
                self._words = _wider(self._words, used, longest)
                self._counts = _wider(self._counts, used, longest)
                out = out._replace(words=self._words, counts=self._counts)
            else:
                self.vocabulary.grow(longest // 4 + 4)
        self._stamp = int(progress[3])
        used = int(out.offsets[n])
        return Bags(*by_document, out.offsets, out.words[:used].copy(), out.counts[:used].copy())

    def _run(
        self, data: NDArray[Any], starts: NDArray[Any], ends: NDArray[Any], out: Output, progress: NDArray[np.int64]
    ) -> int:
        """Call the kernel of the profile's tokenizer."""
        common = (self.vocabulary.tables, self._records, self._piece, out, progress, self._rules)
        if self._alphabet is None:
            return bag_ascii(data, starts, ends, self._kinds, *common)
        return bag_unicode(data, starts, ends, self._kinds, self._alphabet, *common)

    def _room_for(self, longest: int) -> None:
        """Grow the scratch space to hold a document of this many bytes as a single word."""
        if self._records.key.size < longest // 4 + 8:
            self._records = self._records._replace(key=np.empty(longest // 4 + 8, np.uint64))
        # Lower case can need more bytes: at most 3 for 2.
        if self._alphabet is not None and self._alphabet.word.size < 2 * longest + 16:
            self._alphabet = self._alphabet._replace(word=np.empty(2 * longest + 16, np.uint8))

    def take_counts(self) -> tuple[NDArray[np.uint32], NDArray[np.int64], NDArray[np.int64]]:
        """Return and clear the counts over all documents kept since the last call.

        Returns:
            Word ids (uint32, ascending, only words with a count), term and document frequencies (int64).
        """
        self._pending_tokens = self._pending_documents = 0
        return self.vocabulary.take_counts()

    def reset(self) -> None:
        """Drop pending counts that a failed task left behind in this worker."""
        self._pending_tokens = self._pending_documents = 0
        self.vocabulary.drop_counts()

    def words(self, ids: NDArray[np.uint32]) -> pa.Array:
        """Return the words with these ids as an Arrow string array of the same length."""
        return self.vocabulary.words(ids)

    def _count_on(self, documents: int, tokens: int) -> None:
        """Raise OverflowError before a pending count could overflow."""
        self._pending_documents += documents
        self._pending_tokens += tokens
        if self._pending_documents >= MOST_DOCUMENTS or self._pending_tokens >= MOST_TOKENS:
            raise OverflowError(
                f"{counted(self._pending_documents, 'document')} since the counts were last taken: take them more often"
            )


def rules(profile: Profile) -> NDArray[np.int64]:
    """Return a profile's rules as the kernels take them, indexed by the constants in `streaming.text.bags`."""
    values = (
        len(profile.stop_words),
        profile.min_valid_tokens,
        profile.dictionary is not None,
        profile.min_letters,
        profile.possessives == "keep",
        profile.addresses == "split",
        profile.inner_dots == "drop",
    )
    return np.array(values, np.int64)


def _readable(array: NDArray[Any], dtype: type[Any]) -> NDArray[Any]:
    """Return the array in the one form that the kernels are compiled for: contiguous and read-only."""
    array = np.ascontiguousarray(array, dtype)
    array = array.view()
    array.flags.writeable = False
    return array


def _wider(array: NDArray[Any], used: int, more: int) -> NDArray[Any]:
    wider = np.empty(2 * array.size + more, array.dtype)
    wider[:used] = array[:used]
    return wider
