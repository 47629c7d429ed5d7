"""Numbers and truth values in texts that people write: the environment, flags, options, parameters of a URL.

One grammar for all of them: ASCII digits, optionally with a sign, and blanks around. Python's `int` and `float` also
accept `1_6` as 16, and digits of other scripts; pydantic accepts `on` and `1` as true. Such text is more likely a
typing error than meant, so it is refused.
"""

from __future__ import annotations

import math
import re

_BLANKS = " \t"
_WHOLE = re.compile(r"[+-]?[0-9]{1,4000}")  # int() refuses more digits
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_TRUTHS = {"true": True, "false": False}


def parse_whole(text: str) -> int:
    """Parse a whole number, such as `16` or `-1`. Raises ValueError."""
    text = text.strip(_BLANKS)
    if not _WHOLE.fullmatch(text):
        raise ValueError("is not a whole number")
    return int(text)


def parse_number(text: str) -> float:
    """Parse a finite number, such as `16`, `0.5`, `.5` or `1e3`. Raises ValueError."""
    text = text.strip(_BLANKS)
    number = float(text) if _NUMBER.fullmatch(text) else math.inf
    if not math.isfinite(number):
        raise ValueError("is not a number")
    return number


def parse_truth(text: str) -> bool:
    """Parse `true` or `false`, in upper or lower case. Raises ValueError."""
    try:
        return _TRUTHS[text.strip(_BLANKS).lower()]
    except KeyError:
        raise ValueError("is neither true nor false") from None
