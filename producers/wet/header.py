"""The grammar of a WARC header block, as far as cutting records needs it (ISO 28500:2017, section 4).

Read leniently where real files differ: a bare LF ends a line too, field names may have blanks before the colon, and
every version `WARC/<major>.<minor>` is taken (0.17 and later have the same header block). Folded values are unfolded.
"""

from __future__ import annotations

import re
from typing import Final

VERSION: Final = b"WARC/"
LINE_ENDS: Final = b"\r\n"
MAX_HEADER_BYTES: Final = 1 << 18
# No page is that long: the number is damaged.
MAX_LENGTH: Final = 1 << 32

_VERSION_LINE = rb"WARC/[0-9]{1,3}\.[0-9]{1,3}[ \t]{0,8}\r?\n"
FIRST_LINE: Final = re.compile(_VERSION_LINE)
NEXT_RECORD: Final = re.compile(rb"[\n\0]" + _VERSION_LINE + rb"[A-Za-z]")
"""Where a record seems to begin inside text: behind the first byte, which ends a line or is padding."""
HEADER_STOP: Final = re.compile(rb"\n(?:(\r?\n)|" + _VERSION_LINE + rb"[A-Za-z])")
"""The end of a header block (group 1), or another record's beginning before there is one."""
OVERLAP: Final = 32
"""At least the length of a match of the patterns above."""

# The first Content-Length field; group 1 is its value if that is a plain number on one line.
CONTENT_LENGTH: Final = re.compile(
    rb"\ncontent-length[ \t]*:(?:[ \t]*([0-9]{1,18})[ \t]*\r?\n(?![ \t]))?", re.IGNORECASE
)
_VALUE = re.compile(rb"(?:[^\n]|\n(?=[ \t]))*")
_NUMBER = re.compile(rb"0*([0-9]{1,18})")


def content_length(header: bytes) -> int | None:
    """Return the value of the first Content-Length field; None if there is none, or it is not a possible length."""
    match = CONTENT_LENGTH.search(header)
    if match is None:
        return None
    number = _NUMBER.fullmatch(match[1] or field_value(header, match.end()))
    if number is None or (length := int(number[1])) > MAX_LENGTH:
        return None
    return length


def field_value(header: bytes, begin: int) -> bytes:
    """Return the field value that begins at `begin`, behind the colon: unfolded, without the blanks around it."""
    match = _VALUE.match(header, begin)
    assert match is not None
    lines = (line.removesuffix(b"\r").strip(b" \t") for line in match[0].split(b"\n"))
    return b" ".join(line for line in lines if line)
