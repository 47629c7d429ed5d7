"""Opens a source wherever it is."""

from __future__ import annotations

from collections.abc import Callable

from conf.settings import ProducerSettings
from producers.sources.files import LocalFile, SourceFile, SourceReadError, no_wait
from producers.sources.retry import NoRangesError
from producers.sources.stores import StoreError, open_store
from producers.sources.urls import is_url, public_url


def open_location(
    location: str,
    settings: ProducerSettings,
    *,
    on_note: Callable[[str], None] = lambda text: None,
    on_wait: Callable[[], None] = no_wait,
) -> SourceFile:
    """Open a path or a URL for reading. Raises OSError, its text without the location.

    `on_note` gets a sentence for people when a server keeps us waiting, or gives no ranges. `on_wait` is
    the file's from the beginning.
    """
    if not is_url(location):
        return LocalFile(location)
    from producers.sources.remote import RangeFile, StreamFile

    try:
        try:
            return RangeFile(location, settings, on_note, on_wait)
        except NoRangesError:
            on_note(
                f"{public_url(location)}: the server gives no byte ranges: the file is read from its front, also to "
                "resume, and recognised by its size and beginning only"
            )
            return StreamFile(location, settings, on_note, on_wait)
    except StoreError as error:
        raise SourceReadError(str(error)) from error


def exists(url: str, settings: ProducerSettings) -> bool:
    """Return whether a remote file can be opened now; asks once."""
    try:
        fs, path = open_store(url, settings)
        return bool(fs.exists(path))
    except Exception:  # whatever is wrong there is reported when the file is read
        return False
