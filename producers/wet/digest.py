"""Whether a record's block is what its writer wrote: WARC-Block-Digest (ISO 28500:2017, section 5.8)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re

FIELD = re.compile(rb"\nwarc-block-digest[ \t]*:[ \t]*sha-?1:([^\r\n]*)", re.IGNORECASE)
SHA1_BYTES = 20


def digest_verifies(raw: bytes, header_bytes: int) -> bool | None:
    """Whether the SHA-1 of the block is the one in the header; None: the header holds none (or one of another kind).

    A value that is no digest at all counts as a wrong one: something has changed it.
    """
    match = FIELD.search(raw, 0, header_bytes)
    if match is None:
        return None
    return hashlib.sha1(memoryview(raw)[header_bytes:], usedforsecurity=False).digest() == _decode(match[1])


def _decode(text: bytes) -> bytes | None:
    """The digest from its text: base32 as the specification has it, or hexadecimal as some tools write it."""
    text = text.strip()
    try:
        return bytes.fromhex(text.decode()) if len(text) == 2 * SHA1_BYTES else base64.b32decode(text, casefold=True)
    except (binascii.Error, ValueError):
        return None
