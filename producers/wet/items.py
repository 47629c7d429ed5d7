"""What reading a WET file gives: records as they are in the file, and stubs in place of what cannot be read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from producers.wet.members import Place


class Record(NamedTuple):
    """A whole record, `raw` as it is in the file, without the line ends behind it.

    It begins at `place`, or behind line ends or padding there. Reading resumes at `next`.
    """

    place: Place
    next: Place
    raw: bytes
    header_bytes: int


@dataclass(slots=True, frozen=True)
class Stub:
    """Stands for something that cannot be sent.

    Attributes:
        place: Where it begins.
        next: Where reading resumes; `place` again if the file is cut there.
        length: Bytes of the file for a damaged or cut gzip member, else decoded bytes.
        reason: One of `conf.reasons.STUB_REASONS`.
        detail: What is wrong, for people.
        header: Its header block, if there is one.
    """

    place: Place
    next: Place
    length: int
    reason: str
    detail: str
    header: bytes


def moved(item: Record | Stub, place: Place) -> Record | Stub:
    """Return the item together with the line ends or padding before it, from `place` on."""
    following = place if item.next == item.place else item.next
    if isinstance(item, Record):
        return item._replace(place=place, next=following)
    return replace(item, place=place, next=following)
