"""The error of the stream, in a module that does not load Spark."""

from __future__ import annotations

from conf.errors import ExplainedError


class StreamError(ExplainedError):
    """The stream cannot go on; the message names the cause and the remedy."""


class OutageError(StreamError):
    """A server was away for longer than `stream.retry_s`; the same command continues when it is back."""

    exit_code = 75  # EX_TEMPFAIL of sysexits.h
