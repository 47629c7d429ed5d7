"""The language of a page: from its WARC header, else detected in its text by CLD2."""

from __future__ import annotations

import functools
import re
from typing import Final, Literal

import pycld2

from conf.languages import three_letters
from conf.profiles import Profile

Method = Literal["header", "detect"]
HEADER: Final[Method] = "header"
DETECT: Final[Method] = "detect"

MOST_BYTES: Final = 1 << 20
"""The detector reads at most this much of a page."""

UNDETERMINED: Final = "und"

_CONTROLS: Final = bytes(byte for byte in range(32) if byte not in b"\t\n\r") + b"\x7f"


def language_of(header: str | None, payload: bytes, profile: Profile) -> tuple[str | None, Method | None]:
    """ISO 639-3 code of a page's language and how it was found; (None, None) if the profile's methods find none.

    `header`: value of `WARC-Identified-Content-Language`, codes in descending order of share (`eng,spa`), set by Common
    Crawl since 2018; the first one counts. Methods are tried in the profile's order.
    """
    for method in profile.language_methods:
        code = from_header(header) if method == HEADER else detect(payload)
        if code is not None:
            return code, HEADER if method == HEADER else DETECT
    return None, None


@functools.lru_cache(1 << 12)  # a crawl has some hundred different ones
def from_header(header: str | None) -> str | None:
    """Return the first code in a language header; None if it names no language (ISO 639-3 `und` is undetermined)."""
    first = (header or "").partition(",")[0].strip().lower()
    if first == UNDETERMINED:
        return None
    return three_letters(first) if first.isascii() and first.isalpha() and 2 <= len(first) <= 8 else None


def detect(payload: bytes) -> str | None:
    """Detect the language of plain UTF-8 text with CLD2; None if it is unreliable or fails.

    It refuses some control characters and what is no UTF-8. So ASCII controls are taken out first; if it still
    refuses, all else that it is known to refuse is taken out too, and it is asked once more.
    """
    text = payload[:MOST_BYTES].translate(None, _CONTROLS)
    for attempt in (text, None):
        try:
            reliable, _, details = pycld2.detect(_clean(text) if attempt is None else text, isPlainText=True)
        except (pycld2.error, ValueError):
            continue
        code = details[0][1]
        return three_letters(code) if reliable and code != "un" else None
    return None


def _clean(text: bytes) -> bytes:
    return _REFUSED.sub("", text.decode("utf-8", errors="ignore")).encode()


_REFUSED: Final = re.compile("[\x80-\x9f\ufdd0-\ufdef\ufffe\uffff]|[\U0001fffe-\U0010ffff]")
