"""A source: one WET file to ingest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from producers.sources.urls import is_url, public_url


@dataclass(frozen=True, slots=True)
class Source:
    """A WET file to ingest.

    Attributes:
        id: Its identity (see `identity.source_id`).
        location: A path, or a URL as fsspec takes it. May hold secrets; show and store `name` instead.
    """

    id: str
    location: str

    @property
    def name(self) -> str:
        """The location without passwords and signatures."""
        return public_url(self.location) if is_url(self.location) else self.location

    @property
    def uri(self) -> str:
        """`name` as an absolute URI."""
        return self.name if is_url(self.location) else Path(self.location).resolve().as_uri()
