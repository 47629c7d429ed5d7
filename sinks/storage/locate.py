"""Finds the place that a path or URL of the settings names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from conf.errors import ExplainedError
from conf.settings import Settings
from conf.storage.urls import is_object_store, is_url, normal_location
from sinks.storage.folder import Folder
from sinks.storage.location import Location


class LocationError(ExplainedError):
    """A path or URL cannot be used; the message says what to write."""


def documents_location(settings: Settings) -> Location:
    """Return the place that holds the documents tables of all pipelines."""
    return locate(settings.documents_path, settings.documents.storage)


def locate_given(given: str | Path, settings: Settings) -> Location:
    """Return the place that a user names by a path or URL, with the options of documents.storage.

    Raises:
        LocationError: It cannot be used; the message says what to write.
    """
    text = str(given)
    if not is_url(text):
        return Folder(Path(text))
    try:
        return locate(normal_location(text), settings.documents.storage)
    except ValueError as error:
        raise LocationError(f"{text} {error}") from error


def locate(location: str, options: Mapping[str, str]) -> Location:
    """Return the place at an absolute path or a URL.

    Args:
        location: As `conf.storage.urls.normal_location` returns it.
        options: Options of the object store, without secrets.
    """
    if not is_object_store(location):
        return Folder(Path(location))
    # Late: it is not needed for folders, and takes a while to load.
    from sinks.storage.object_store import Bucket, ObjectPrefix
    from sinks.storage.options import KINDS, store_options

    found = re.fullmatch(r"(?P<root>(?P<scheme>\w+)://[^/]+)/?(?P<key>.*)", location)
    assert found is not None
    bucket = Bucket(found["root"], tuple(sorted(store_options(KINDS[found["scheme"]], options).items())))
    return ObjectPrefix(bucket, found["key"])
