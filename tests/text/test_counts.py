"""Term and document frequencies: the sums of the bags, taken once, never mixed up by a hash."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from conf.profiles import Profile
from streaming.text.kernel import Bagger
from streaming.text.vocabulary import Vocabulary, mixed
from tests.text.pages import assert_same, packed

PAGES = [b"apple pear plum " * 5, b"apple apple " * 6, b"too few", b"pear " * 12]


def counts(bagger: Bagger) -> dict[str, tuple[int, int]]:
    ids, tf, df = bagger.take_counts()
    assert (ids.dtype, tf.dtype, df.dtype) == (np.uint32, np.int64, np.int64)
    return dict(zip(bagger.words(ids).to_pylist(), zip(tf.tolist(), df.tolist(), strict=True), strict=True))


def test_only_kept_documents_count(fresh_bagger: Bagger) -> None:
    fresh_bagger.bag(*packed(PAGES))
    assert counts(fresh_bagger) == {"apple": (17, 2), "pear": (17, 2), "plum": (5, 1)}
    assert counts(fresh_bagger) == {}


def test_counts_add_up_over_calls(fresh_bagger: Bagger) -> None:
    for page in PAGES:
        fresh_bagger.bag(*packed([page]))
    assert counts(fresh_bagger) == {"apple": (17, 2), "pear": (17, 2), "plum": (5, 1)}


def test_reset_drops_what_a_failed_task_left(fresh_bagger: Bagger) -> None:
    fresh_bagger.bag(*packed(PAGES))
    fresh_bagger.reset()
    fresh_bagger.bag(*packed(PAGES[3:]))
    assert counts(fresh_bagger) == {"pear": (12, 1)}


def test_counts_that_could_overflow_are_refused(p21: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    bagger = Bagger(p21)
    monkeypatch.setattr("streaming.text.kernel.MOST_DOCUMENTS", 6)
    bagger.bag(*packed(PAGES))
    with pytest.raises(OverflowError, match="take them more often"):
        bagger.bag(*packed(PAGES))
    bagger.reset()
    bagger.bag(*packed(PAGES))


def colliding_words(prefix: bytes) -> list[bytes]:
    """Different words with the same 64-bit hash: `prefix` (0 or 16 letters) and 16 more.

    After the prefix the hash of two blocks is a bijection of mixed(state, first) ^ second: wherever two first blocks'
    hashes differ only in bits in which letters differ, the second block makes up for it.
    """
    rng = np.random.default_rng(1)
    letters = np.frombuffer(b"abcdefghijklmnopqrstuvwxyz", np.uint8)
    state = hash_of(prefix) if prefix else 0
    firsts = np.ascontiguousarray(rng.choice(letters, (60_000, 8))).view(np.uint64).ravel()
    hashes = np.array([mixed(np.uint64(state), first) for first in firsts], np.uint64)
    masked = hashes & np.uint64(0xE0E0E0E0E0E0E0E0)
    order = np.argsort(masked)
    words = []
    for one, other in itertools.pairwise(order):
        if masked[one] != masked[other] or firsts[one] == firsts[other]:
            continue
        difference = (hashes[one] ^ hashes[other]).tobytes()
        pairs = [[x for x in letters.tolist() if x ^ d in letters.tolist()] for d in difference]
        if all(pairs):
            second = bytes(pair[0] for pair in pairs)
            words.append(prefix + firsts[one].tobytes() + second)
            words.append(
                prefix + firsts[other].tobytes() + bytes(a ^ b for a, b in zip(second, difference, strict=True))
            )
    return words


def hash_of(word: bytes) -> int:
    """The hash of a word whose length is a multiple of 8."""
    state = 0
    for block in np.frombuffer(word, np.uint64):
        state = mixed(np.uint64(state), block)
    return state


@pytest.mark.parametrize("prefix", [b"", b"sixteen" + b"letters" + b"ab"])
def test_words_with_the_same_hash_are_different_words(prefix: bytes, p21: Profile) -> None:
    words = colliding_words(prefix)
    assert len(set(words)) == len(words) > 10
    assert len({hash_of(word) for word in words}) == len(words) // 2
    longer = [word + b"x" for word in words] + [word + b"y" for word in words]
    pages = [b" ".join(words + words[::2]), b" ".join(words[::-1]), b" ".join(longer + longer[::3])]
    assert_same(Bagger(p21), pages)


def test_words_round_trip() -> None:
    vocabulary = Vocabulary()
    words = [
        b"a",
        "ж".encode(),
        b"12345678",
        b"123456789",
        b"x" * 16,
        b"x" * 17,
        b"x" * 10_000,
        *(b"w%d" % n for n in range(50_000)),
    ]
    vocabulary.add_all(words)
    vocabulary.add_all(words)
    assert len(vocabulary) == len(words)
    ids = np.arange(len(words), dtype=np.uint32)[::-1]
    assert [word.encode() for word in vocabulary.words(ids).to_pylist()] == words[::-1]
    assert vocabulary.words(ids[:0]).to_pylist() == []
    with pytest.raises(IndexError, match="not among the 50007 words"):
        vocabulary.words(np.array([len(words)], np.uint32))


def test_a_dictionary_bounds_the_vocabulary(english: Profile) -> None:
    bagger = Bagger(english)
    before = len(bagger)
    bagger.bag(*packed([b" ".join(b"unknown" + bytes([97 + n % 26]) * (n % 50) for n in range(5000))]))
    assert len(bagger) == before
