"""Text from data made safe for a terminal, and figures for people. Pure functions."""

from __future__ import annotations

import os.path
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.cells import cell_len

# Controls (C0, DEL, C1), line and paragraph separators, surrogates, private use, and every code point that Unicode
# calls default-ignorable: bidirectional controls, zero-width characters, fillers, variation selectors and tags.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\uf8ff\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff\U000f0000-\U0010ffff]"
)
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
# How Python keeps a byte of a file name that is not UTF-8.
_FIRST_BYTE, _LAST_BYTE = 0xDC80, 0xDCFF


def printable(text: object, encoding: str = "utf-8") -> str:
    r"""Return `text` as one line in which every character that a terminal would act on or hide is written out.

    Args:
        text: A string, or anything with a string form. A path that is not UTF-8 shows its bytes as `\xff`.
        encoding: Encoding of the stream; what it lacks is written out too.

    Returns:
        The same text with escapes such as `\x1b`, `\n` or `\u202e`. The function is idempotent.
    """
    escaped = _UNSAFE.sub(_escape, str(text))
    return escaped.encode(encoding, "backslashreplace").decode(encoding)


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    code = ord(character)
    if character in _NAMED:
        return _NAMED[character]
    if code < 0x100:
        return f"\\x{code:02x}"
    if _FIRST_BYTE <= code <= _LAST_BYTE:
        return f"\\x{code - 0xDC00:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def json_safe(encoded: str, encoding: str = "utf-8") -> str:
    r"""Write the unsafe characters of a JSON text as `\uXXXX`: it parses to exactly the same data.

    Args:
        encoded: JSON as `json.dumps` makes it; the line breaks of its indentation stay.
        encoding: Encoding of the stream; what it lacks is written as `\uXXXX` too.
    """
    escaped = _UNSAFE.sub(lambda match: match[0] if match[0] == "\n" else _json_escape(match[0]), encoded)
    try:
        escaped.encode(encoding)
    except UnicodeEncodeError:
        return "".join(each if each.isascii() else _json_escape(each) for each in escaped)
    return escaped


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def end_of(text: str, width: int) -> str:
    """Return the end of `text` in at most `width` terminal cells, with `…` for what is left out."""
    if cell_len(text) <= width:
        return text
    kept = text[-max(0, width - 1) :] if width > 1 else ""
    while cell_len(kept) > width - 1:
        kept = kept[1:]
    return "…" + kept


_ENDINGS = re.compile(r"(\.warc)?(\.wet)?(\.gz|\.zst)?$")


def shorten(names: Sequence[str], width: int) -> dict[str, str]:
    """Shorten names to at most `width` terminal cells, so that different ones still differ as far as that is possible.

    Names that are too long lose the ending that files of a crawl share, and their front; where those that are left are
    equal, as of files of one name in several folders, their middle goes instead; else what they have in common before
    the first difference, as of the files of one segment.
    """
    kept = {name: name for name in names if cell_len(name) <= width}
    long = list(dict.fromkeys(name for name in names if name not in kept))
    head = max(0, (width - 1) // 2)
    begin = len(os.path.commonprefix(long))  # noqa: RUF071  # by characters
    number = _DIGITS_AT_END.search(long[0][:begin]) if len(long) > 1 else None
    ways: list[Callable[[str], str]] = [
        lambda name: end_of(_without_ending(name), width),
        lambda name: name[:head] + end_of(name, width - head),
        # The number in which they differ from its beginning, if that fits; else from the first digit that differs.
        lambda name: _window(name, begin if number is None else number.start(), width),
        lambda name: _window(name, begin, width),
    ]
    best: dict[str, str] = {}
    for way in ways:
        shown = kept | {name: way(name) for name in long}
        if len(set(shown.values())) == len(shown):
            return shown
        best = max(best, shown, key=lambda each: len(set(each.values())))
    return best


_DIGITS_AT_END = re.compile(r"\d*\Z")


def _window(name: str, begin: int, width: int) -> str:
    """The part of a name from `begin` on, in at most `width` terminal cells, with `…` for what is left out."""
    kept = name[begin : begin + max(0, width - 2)]
    while cell_len(kept) > max(0, width - 2):
        kept = kept[:-1]
    return f"…{kept}…"[: max(1, width)]


def _without_ending(name: str) -> str:
    stem = _ENDINGS.sub("", name)
    return name if stem == name or not stem else f"{stem}…"


def short(source: str, width: int = 60) -> str:
    """Return the end of a source's identity, where the names of sources differ."""
    return end_of(printable(source).removeprefix("file://"), width)


def size(count: float) -> str:
    """Format a number of bytes: `1.5 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:,.0f} {unit}" if unit == "B" else f"{count:,.1f} {unit}"
        count /= 1000
    return f"{count:,.1f} TB"


def duration(seconds: float) -> str:
    """Format a duration, to about a tenth of it."""
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:,.0f} min" if seconds < 6000 else f"{seconds / 3600:,.1f} h"


def plain(value: object) -> str:
    """Return the JSON form of values that JSON has none for: paths and times as text."""
    from datetime import date

    if isinstance(value, (Path, date)):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
