"""The compressions of WET files, each as a decoder with zlib's interface.

gzip with a member a record is what Common Crawl publishes; zstd with a frame a record is the WARC community's newer
form (IIPC, "Zstandard compression for WARC files 1.0", without dictionaries). A file may also hold many records in one
member, or all of them. "Member" stands for both in this package.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import zstandard
from isal import isal_zlib


class Decoder(Protocol):
    """Decodes one member."""

    @property
    def eof(self) -> bool:
        """Whether the member is complete and its checksum was compared."""

    @property
    def unused_data(self) -> bytes:
        """Input behind the member's end."""

    def decompress(self, data: bytes, /) -> bytes:
        """Return all that can be decoded so far; raises one of the codec's errors."""


@dataclass(frozen=True, slots=True)
class Codec:
    """How members begin and are decoded.

    Attributes:
        name: For messages.
        magic: Pattern of a member's first bytes.
        magic_bytes: Their number.
        first_bytes: What the first one can be.
        make: Returns a new decoder.
        errors: What a decoder raises.
        feed_bytes: Input per call. Whatever follows a member's end is copied each time, and it bounds what a call can
            return.
        held_bytes: Input that a decoder may hold before it returns what it encodes.
        head_bytes: Input that is enough to see how a member's text begins.
        expansion: Decoded bytes that one byte of a member can stand for, at most.
        checked: Whether every member ends with a checksum, so that one decoded to its end is as it was written.
        framed: Whether a member's end can be found without decoding it (`producers.wet.zstd_frames`).
    """

    name: str
    magic: re.Pattern[bytes]
    magic_bytes: int
    first_bytes: bytes
    make: Callable[[], Decoder]
    errors: tuple[type[Exception], ...]
    feed_bytes: int
    held_bytes: int
    head_bytes: int
    expansion: int
    checked: bool
    framed: bool

    def may_begin(self, data: bytes) -> bool:
        """Whether a member may begin with `data`, which is never empty."""
        if len(data) < self.magic_bytes:
            return data[0] in self.first_bytes
        return self.magic.match(data) is not None


GZIP = Codec(
    name="gzip",
    magic=re.compile(rb"\x1f\x8b\x08"),
    magic_bytes=3,
    first_bytes=b"\x1f",
    make=lambda: isal_zlib.decompressobj(31),
    errors=(isal_zlib.error,),  # type: ignore[arg-type]  # isal's stub declares the class as a value
    feed_bytes=1 << 13,
    held_bytes=1 << 12,
    head_bytes=1 << 13,
    expansion=1100,
    checked=True,
    framed=False,
)
ZSTD = Codec(
    name="zstd",
    # A frame, or a skippable one.
    magic=re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"),
    magic_bytes=4,
    first_bytes=bytes(range(0x50, 0x60)) + b"\x28",
    # The window bounds the decoder's memory; the format's own recommendation for decoders is 8 MiB.
    make=lambda: zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj(),
    errors=(zstandard.ZstdError,),
    feed_bytes=1 << 11,
    # A block comes out when all of it is in.
    held_bytes=(1 << 17) + 64,
    head_bytes=(1 << 17) + 64,
    expansion=1 << 15,
    checked=False,
    framed=True,
)
CODECS = (GZIP, ZSTD)


def codec_of(head: bytes) -> Codec | None:
    """Return the codec of a file that begins with `head`; None if it is not compressed with a known one."""
    return next((codec for codec in CODECS if codec.magic.match(head)), None)
