"""Proving from a record's block digest where its block ends, when its Content-Length does not say."""

from __future__ import annotations

from producers.wet.digest import BlockDigest
from producers.wet.header import OVERLAP
from producers.wet.window import Window

PROOFS = 8
"""At so many version lines a block's end is tried. So no byte is hashed for more records than that before it."""
TAIL_BYTES = 4  # line ends between a block and the next record


class Proof:
    """Hashes a block as the window moves over it, and compares where another record seems to begin."""

    def __init__(self, digest: BlockDigest, position: int) -> None:
        self._digest = digest
        self.fed = position
        self.failed = 0

    def feed(self, window: Window, position: int) -> None:
        """Hash up to `position`."""
        if position > self.fed:
            self._digest.feed(window.view(self.fed, position))
            self.fed = position

    def ends_before(self, window: Window, start: int) -> bool:
        """Whether the block ends at `start`, or only line ends are between."""
        self.feed(window, start - TAIL_BYTES)
        proven = self._digest.verifies_before(window.copy(self.fed, start))
        self.failed += not proven
        return proven


def proven_end(window: Window, at: int, header: bytes, limit: int) -> int | None:
    """Return where another record begins before `limit`, if the digest in `header` says that the block ends there.

    Depends only on the bytes from `at` on. The window keeps all of them.
    """
    digest = BlockDigest.of(header)
    if digest is None:
        return None
    position = at + len(header)
    proof = Proof(digest, position)
    while proof.failed < PROOFS:
        start = window.next_start(position, limit)
        if start is not None:
            if proof.ends_before(window, start):
                return start
            position = start + 1
            continue
        position = max(position, min(window.end - OVERLAP, limit))
        if window.end >= limit + OVERLAP or not window.more():
            return None
    return None


def pass_over(window: Window, at: int, header: bytes, limit: int) -> int | None:
    """Move the window to `limit` or to the end of what can be decoded.

    Returns:
        Where another record begins before `limit`, if the digest in `header` or the beginning of a member proves it.
    """
    position = at + len(header)
    digest = BlockDigest.of(header)
    proof = None if digest is None else Proof(digest, position)
    while True:
        start = window.next_start(position, limit) if proof else window.next_member_start(position, limit)
        if start is not None:
            if proof is None or window.next_member_start(start, start + 1) is not None:
                return start
            if proof.ends_before(window, start):
                return start
            proof = proof if proof.failed < PROOFS else None
            position = start + 1
            continue
        position = max(position, min(window.end - OVERLAP, limit))
        if proof is not None:
            proof.feed(window, position - TAIL_BYTES)
        if window.end >= limit + OVERLAP:
            return None
        window.keep(position - TAIL_BYTES if proof is None else min(position - TAIL_BYTES, proof.fed))
        if not window.more():
            return None


def may_hash(window: Window, at: int, length: int) -> bool:
    """Whether so few records seem to begin inside the record at `at` that hashing it in vain is bounded."""
    position = at
    for _ in range(PROOFS + 1):
        start = window.next_start(position + 1, at + length)
        if start is None:
            return True
        position = start
    return False
