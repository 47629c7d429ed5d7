"""Fixtures of the serving tests."""

from tests.serving.pipelines import made, serve

__all__ = ["made", "serve"]
