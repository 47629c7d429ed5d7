"""Block digests: whether a record's block is what its writer wrote (WARC-Block-Digest, ISO 28500:2017, section 5.8)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from typing import TYPE_CHECKING

from producers.wet.header import LINE_ENDS, field_value

if TYPE_CHECKING:
    from hashlib import _Hash

FIELD = re.compile(rb"\nwarc-block-digest[ \t]*:", re.IGNORECASE)
ALGORITHMS = {b"sha1": "sha1", b"md5": "md5", b"sha256": "sha256", b"sha384": "sha384", b"sha512": "sha512"}


class BlockDigest:
    """The digest that a header promises, compared with a block that is fed in pieces."""

    def __init__(self, running: _Hash, expected: bytes | None) -> None:
        self._running = running
        self._expected = expected

    @classmethod
    def of(cls, header: bytes) -> BlockDigest | None:
        """Read the first digest field of a header block; None if it is missing or empty, or of an unknown algorithm."""
        match = FIELD.search(header)
        if match is None:
            return None
        label, _, text = field_value(header, match.end()).partition(b":")
        name = ALGORITHMS.get(label.strip().lower().replace(b"-", b""))
        if name is None or not text.strip():
            return None
        running = hashlib.new(name, usedforsecurity=False)
        return cls(running, _decode(text.strip(), running.digest_size))

    def feed(self, piece: bytes | memoryview) -> None:
        """Add the next bytes of the block."""
        self._running.update(piece)

    def verifies(self) -> bool:
        """Whether what was fed is the block."""
        return self._running.digest() == self._expected

    def verifies_before(self, tail: bytes) -> bool:
        """Whether what was fed, and as much of `tail` as leaves nothing but line ends, is the block."""
        for kept in range(len(tail.rstrip(LINE_ENDS)), len(tail) + 1):
            running = self._running.copy()
            running.update(tail[:kept])
            if running.digest() == self._expected:
                return True
        return False


def digest_verifies(raw: bytes | memoryview, header: bytes) -> bool | None:
    """Whether the block of the record `raw` has the digest in its header; None if the header holds none that is known.

    A value that is not a digest at all counts as a wrong one: something has changed it.
    """
    digest = BlockDigest.of(header)
    if digest is None:
        return None
    digest.feed(memoryview(raw)[len(header) :])
    return digest.verifies()


def _decode(text: bytes, size: int) -> bytes | None:
    """The digest from its text: base32 as the specification has it, hexadecimal or base64 as some tools write it."""
    digits = text.rstrip(b"=")
    try:
        if len(digits) == 2 * size:
            return bytes.fromhex(text.decode())
        if len(digits) == -(-4 * size // 3):
            return base64.b64decode(digits + b"=" * (-len(digits) % 4), validate=True)
        return base64.b32decode(digits + b"=" * (-len(digits) % 8), casefold=True)
    except (binascii.Error, ValueError):
        return None
