"""What can be said of a record before its bytes are checked."""

from __future__ import annotations

from enum import Enum, auto
from typing import NamedTuple


class Extent(Enum):
    """What can be said of a record from its header and what follows its block."""

    WHOLE = auto()
    OVERSIZE = auto()
    CUT = auto()
    BAD = auto()


class Found(NamedTuple):
    """A record that seems to begin somewhere: its header block, its length with header, and what is wrong with it."""

    extent: Extent
    header: bytes = b""
    length: int = 0
    detail: str = ""
