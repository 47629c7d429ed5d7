"""Where the documents of these settings are."""

from __future__ import annotations

from pathlib import Path

from conf.settings import Settings
from sinks.storage.folder import Folder
from sinks.storage.location import Location


def documents_location(settings: Settings) -> Location:
    """The folder that holds the documents tables of all pipelines."""
    return Folder(Path(settings.documents_path))
