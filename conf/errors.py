"""The base class of errors that are shown to users: their text is the whole message, without a traceback."""

from __future__ import annotations


class ExplainedError(Exception):
    """Something outside the program is wrong; the text names it, the place and the remedy.

    `exit_code` is that of a command that it ends.
    """

    exit_code = 1
