"""Fixtures of the serving tests."""

from serving_made import made, serve

__all__ = ["made", "serve"]
