"""What a WET file is made of: records as they stood, and stubs in place of what could not be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from producers.wet.members import Place


class Record(NamedTuple):
    """A whole record as it stood in the file, without the line ends behind it."""

    place: Place
    next: Place
    raw: bytes
    header_bytes: int


@dataclass(slots=True, frozen=True)
class Stub:
    """In place of something that cannot be sent: where, how many bytes, why, and the header block if there is one.

    `length` counts bytes of the file for a damaged gzip member, decoded bytes otherwise.
    """

    place: Place
    next: Place
    length: int
    reason: str
    detail: str
    header: bytes
