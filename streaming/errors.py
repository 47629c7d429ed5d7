"""The error of the stream, in a module that does not load Spark."""

from __future__ import annotations


class StreamError(Exception):
    """The stream cannot go on; the message says why and the remedy."""
