"""Errors of topic models."""

from __future__ import annotations

from conf.errors import ExplainedError


class TopicError(ExplainedError):
    """A topic model cannot be made, found or used; the message says why and what to do."""
