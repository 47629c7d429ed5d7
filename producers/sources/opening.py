"""Opens a source wherever it is."""

from __future__ import annotations

from collections.abc import Callable

from conf.settings import ProducerSettings
from producers.sources.files import LocalFile, SourceFile, SourceReadError, no_wait
from producers.sources.source import Source
from producers.sources.stores import StoreError, open_store
from producers.sources.urls import URL_REMEDY, is_url, is_valid_url, is_web, register_passwords


def open_source(
    source: Source,
    settings: ProducerSettings,
    *,
    on_note: Callable[[str], None] = lambda text: None,
    on_wait: Callable[[], None] = no_wait,
) -> SourceFile:
    """Open a source for reading.

    Args:
        source: What to open.
        settings: How stores are opened and how long to wait for them.
        on_note: Gets a sentence for the user when a server keeps us waiting, or has no byte ranges.
        on_wait: The file's `on_wait` from the beginning.

    Raises:
        OSError: It cannot be read; the text does not name it.
    """
    return open_location(source.location, settings, on_note=on_note, on_wait=on_wait, confined=source.confined)


def open_location(
    location: str,
    settings: ProducerSettings,
    *,
    on_note: Callable[[str], None] = lambda text: None,
    on_wait: Callable[[], None] = no_wait,
    confined: bool = False,
) -> SourceFile:
    """Open a path or a URL as `open_source` does; `confined`: redirects must stay on the URL's server."""
    if not is_url(location):
        return LocalFile(location)
    if is_web(location) and not is_valid_url(location):
        # At once: a name that no server can have looks to the network like one that cannot be resolved just now.
        raise SourceReadError(f"the URL is not valid: {URL_REMEDY}")
    from producers.sources.remote import RemoteFile

    register_passwords(location)
    try:
        return RemoteFile(location, settings, on_note, on_wait, confined=confined)
    except StoreError as error:
        raise SourceReadError(str(error)) from error


def exists(url: str, settings: ProducerSettings) -> bool:
    """Return whether a remote file can be opened now; asks once."""
    try:
        if is_web(url):
            from producers.sources.web import web_exists

            return web_exists(url, settings.source_timeout_s)
        fs, path = open_store(url, settings)
        return bool(fs.exists(path))
    except Exception:  # whatever is wrong there is reported when the file is read
        return False
