"""Why a record is not kept. Every reason is named here and nowhere else.

A record has one reason, or none if it is kept, so for every source `records read = kept + sum over the reasons`.
"""

from __future__ import annotations

from typing import Final

NOT_CONVERSION: Final = "not_conversion"
"""A well-formed WARC record of another type than `conversion`, such as `warcinfo`."""
NOT_LANGUAGE: Final = "not_language"
"""The page is not in the profile's language, or its language is unknown."""
TOO_FEW_WORDS: Final = "too_few_words"
"""The page has fewer valid tokens than the profile's `min_valid_tokens`."""
MALFORMED: Final = "malformed"
"""The message is not a WARC record that can be parsed."""
OVERSIZE: Final = "oversize"
"""The record is larger than `producer.max_record_bytes`; the topic holds a stub."""
TRUNCATED: Final = "truncated"
"""The file ends inside the record; the topic holds a stub until the file has grown."""
DAMAGED: Final = "damaged"
"""A region of the file cannot be decoded or is not a record; the topic holds a stub."""

TAKEN_DOWN: Final = "taken_down"
"""The page was taken down by URL, host or pattern; only its place and its size are kept."""

PAGE_REASONS: Final = (NOT_LANGUAGE, TOO_FEW_WORDS)
"""The record is a page and was judged as one."""
STUB_REASONS: Final = (OVERSIZE, TRUNCATED, DAMAGED)
"""The producer could not send the record and sent a stub instead."""
UNREADABLE_REASONS: Final = (MALFORMED, *STUB_REASONS)
"""Nothing is known about the record's content."""
ALL: Final = (NOT_CONVERSION, *PAGE_REASONS, *UNREADABLE_REASONS, TAKEN_DOWN)
