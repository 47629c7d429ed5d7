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
        """Whether the member has come to its end, its checksum compared."""

    @property
    def unused_data(self) -> bytes:
        """What was handed in behind that end."""

    def decompress(self, data: bytes, /) -> bytes:
        """Everything that these bytes give; raises one of the codec's errors."""


@dataclass(frozen=True, slots=True)
class Codec:
    """How members begin and are decoded.

    `feed_bytes`: input a call; what follows a member's end is copied each time, and it bounds what a call can give.
    `checked`: every member ends with a checksum, so one that was decoded to its end is as it was written.
    """

    name: str
    magic: re.Pattern[bytes]
    magic_bytes: int
    make: Callable[[], Decoder]
    errors: tuple[type[Exception], ...]
    feed_bytes: int
    checked: bool


GZIP = Codec(
    name="gzip",
    magic=re.compile(rb"\x1f\x8b\x08"),
    magic_bytes=3,
    make=lambda: isal_zlib.decompressobj(31),
    errors=(isal_zlib.error,),  # type: ignore[arg-type]  # isal's stub declares the class as a value
    feed_bytes=1 << 13,
    checked=True,
)
ZSTD = Codec(
    name="zstd",
    # A frame, or a skippable one.
    magic=re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"),
    magic_bytes=4,
    # The window bounds the decoder's memory; the format's own recommendation for decoders is 8 MiB.
    make=lambda: zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj(),
    errors=(zstandard.ZstdError,),
    feed_bytes=1 << 11,
    checked=False,
)
CODECS = (GZIP, ZSTD)


def codec_of(head: bytes) -> Codec | None:
    """The codec of a file that begins with these bytes; None: it is not compressed by any that is known."""
    return next((codec for codec in CODECS if codec.magic.match(head)), None)
