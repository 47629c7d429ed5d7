"""The one base of errors that are meant for a person: their text is the whole message, shown without a traceback."""

from __future__ import annotations


class ExplainedError(Exception):
    """Something is wrong outside the program; the text names it, the place and the remedy."""
