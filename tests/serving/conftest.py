"""Fixtures of the serving tests."""

from tests.serving.pipelines import command, made, serve

__all__ = ["command", "made", "serve"]
