"""Why a record is not kept: the one place where the reasons are named.

A record has exactly one reason, or none when it is kept, so that for every source
`records read = kept + sum over the reasons`.
"""

from __future__ import annotations

from typing import Final

NOT_CONVERSION: Final = "not_conversion"
"""A well-formed WARC record of another type than `conversion` (a `warcinfo`, say)."""
NOT_LANGUAGE: Final = "not_language"
"""The page is not in the profile's language, or its language could not be told."""
TOO_FEW_WORDS: Final = "too_few_words"
"""The page has fewer valid tokens than the profile's `min_valid_tokens`."""
MALFORMED: Final = "malformed"
"""The record's header block cannot be read."""
OVERSIZE: Final = "oversize"
"""The record is larger than a message may be; the topic holds a stub."""
TRUNCATED: Final = "truncated"
"""The payload ends before its `Content-Length`."""
DAMAGED: Final = "damaged"
"""A region of the file that cannot be decompressed; the topic holds a stub."""

ALL: Final = (NOT_CONVERSION, NOT_LANGUAGE, TOO_FEW_WORDS, MALFORMED, OVERSIZE, TRUNCATED, DAMAGED)
