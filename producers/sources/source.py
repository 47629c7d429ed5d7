"""A source: one WET file to ingest."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from producers.sources.urls import is_url, public_url, shown_location


@dataclass(frozen=True, slots=True)
class Source:
    """A WET file to ingest.

    Attributes:
        id: Its identity (see `identity.source_id`).
        location: A path, or a URL as fsspec takes it. May hold secrets; show and store `name` instead.
        confined: A remote listing named it, so it may not lead to another server than its own.
        problem: Why it cannot be ingested, if that is known before it is opened.
    """

    id: str
    location: str
    confined: bool = False
    problem: str | None = None

    @property
    def name(self) -> str:
        """The location without passwords, signatures and control characters."""
        return shown_location(self.location)

    def absolute(self) -> Source:
        """Return it with an absolute path, for a process with another working directory."""
        return self if is_url(self.location) else replace(self, location=os.path.abspath(self.location))  # noqa: PTH100

    @property
    def uri(self) -> str:
        """The location as an absolute URI without passwords and signatures."""
        if is_url(self.location):
            return public_url(self.location)
        return Path(os.path.realpath(self.location)).as_uri()
