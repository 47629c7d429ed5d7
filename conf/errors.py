"""The base class of errors that are shown to users: their text is the whole message, without a traceback."""

from __future__ import annotations


class ExplainedError(Exception):
    """Something outside the program is wrong; the text names it, the place and the remedy.

    `exit_code` is that of a command that it ends.
    """

    exit_code = 1


class NotFoundError(ExplainedError):
    """There is no such record; the message says where it was looked for."""


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Return `1 record`, `2,000 records`; `plural` where that is more than an s, or a verb follows."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
