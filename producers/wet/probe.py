"""Probing for a member that begins a record, where the end of the one before is not known."""

from __future__ import annotations

from producers.wet.codec import Codec
from producers.wet.header import LINE_ENDS, VERSION

# What looking at one candidate costs besides the bytes decoded.
PROBE_BYTES = 512


def begins_record(codec: Codec, head: bytes) -> tuple[bool, int]:
    """Whether a member begins with `head` whose text begins as a record does, and what it cost to find out."""
    begins, tried, failed = _text_begins(codec, head, 64, codec.feed_bytes)
    cost = PROBE_BYTES + tried
    if not begins and failed:
        # Once more byte by byte: the member may be damaged a little further on.
        begins, steps, _ = _text_begins(codec, head[:tried], 1, 1)
        cost += 64 * steps
    return begins, cost


def _text_begins(codec: Codec, head: bytes, step: int, most: int) -> tuple[bool, int, bool]:
    """Decode only as much as is needed: whether it is a record's beginning, bytes taken, whether the decoder failed."""
    decoder, text, at = codec.make(), b"", 0
    try:
        while at < len(head) and len(text) < len(VERSION) and not decoder.eof:
            piece = head[at : at + step]
            at += len(piece)
            text = (text + decoder.decompress(piece)).lstrip(LINE_ENDS)[: len(VERSION)]
            step = min(2 * step, most)
    except codec.errors:
        return text == VERSION, at, True
    return text == VERSION, at, False
