"""The error of the stream, in a module that does not load Spark."""

from __future__ import annotations

from conf.errors import ExplainedError


class StreamError(ExplainedError):
    """The stream cannot go on; the message names the cause and the remedy."""
