"""From the lines of a listing to locations: what a line is relative to, and what it may name.

A listing of this machine may name anything. A remote one is somebody else's text: it may name files of its own server
(for an object store: of its own bucket), or below the base that the user gave; other servers only where
`producer.allow_foreign_sources` says so, and files of this machine never.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote

from conf.settings import ProducerSettings
from producers.sources.listing import Line, Listing, default_base
from producers.sources.opening import exists
from producers.sources.urls import (
    LOCAL,
    is_url,
    is_web,
    origin,
    printable,
    redact,
    scheme_of,
    shown_location,
    split_chain,
)

OF_THIS_MACHINE = " is a file of this machine: a remote listing may not name those"
AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[\w.~-]+)(:\d*)?")


@dataclass(frozen=True, slots=True)
class ListedFile:
    """What a line of a listing names: a location, or why it cannot be used."""

    line: int
    location: str
    error: str | None = None


class ListingPaths:
    """Resolves the lines of one listing.

    Args:
        location: The listing's own path or URL.
        base: What its relative paths are relative to; None for the listing's own folder.
        settings: How stores are opened, and whether a remote listing may name other servers.
    """

    def __init__(self, location: str, base: str | None, settings: ProducerSettings) -> None:
        self._remote_listing = is_url(location)
        self._base = (base or default_base(location)).rstrip("/")
        self._settings = settings
        self._origins = {origin(place) for place in (location, self._base) if is_url(place)}

    def resolve(self, listing: Listing) -> Iterator[ListedFile]:
        """Yield what each line names, in order.

        Relative paths are taken as they are, or with underscores for the slashes (as in P2.1) where such files exist.
        """
        underscores: bool | None = None
        for line in listing.lines:
            if line.error is not None:
                yield ListedFile(line.number, line.text, line.error)
                continue
            relative = not is_url(line.text) and not line.text.startswith("/")
            if relative and is_url(self._base):
                if underscores is None and "/" in line.text:
                    # Asked once: a store has all of them one way or the other.
                    underscores = self._has_underscores(line.text)
            elif relative:
                plain, mapped = f"{self._base}/{line.text}", f"{self._base}/{_underscored(line.text)}"
                underscores = not os.path.exists(plain) and os.path.exists(mapped)  # noqa: PTH110  # never raises
            path = _underscored(line.text) if relative and underscores else line.text
            yield self._resolve(path, line, listing.name)

    def _resolve(self, path: str, line: Line, name: str) -> ListedFile:
        location = self._location(path)
        if is_url(location) and not _is_sound(location):
            return ListedFile(line.number, location, f"{_place(name, line)} is no valid URL")
        if not self._remote_listing:
            return ListedFile(line.number, location)
        if not is_url(location):
            inside = os.path.normpath(location).startswith(os.path.normpath(self._base) + os.sep)
            if is_url(self._base) or not inside:
                return ListedFile(line.number, location, _place(name, line) + OF_THIS_MACHINE)
        elif origin(location) not in self._origins:
            if any(scheme_of(link) in LOCAL or link.startswith("/") for link in split_chain(location)):
                return ListedFile(line.number, location, _place(name, line) + OF_THIS_MACHINE)
            if not self._settings.allow_foreign_sources:
                return ListedFile(
                    line.number,
                    location,
                    f"{_place(name, line)} is on another server than the listing: --allow-foreign-sources takes it all "
                    "the same",
                )
        return ListedFile(line.number, location)

    def _location(self, path: str) -> str:
        if is_url(path):
            return local_path(path) if not self._remote_listing and scheme_of(path) in LOCAL else path
        if not is_url(self._base):
            return path if path.startswith("/") else f"{self._base}/{path}"
        if path.startswith("/") and not self._remote_listing:
            return path
        if is_web(split_chain(self._base)[-1]):
            # A path, not a reference: of these two characters a URL would make something else.
            path = path.replace("#", "%23").replace("?", "%3F")
        if not path.startswith("/"):
            return f"{self._base}/{path}"
        root = re.match(r".*://[^/]*", self._base)
        if root is None or (path.startswith("//") and is_web(self._base)):
            return f"{scheme_of(self._base)}:{path}"
        return root[0] + path

    def _has_underscores(self, path: str) -> bool:
        plain, mapped = self._location(path), self._location(_underscored(path))
        return not exists(plain, self._settings) and exists(mapped, self._settings)


def local_path(url: str) -> str:
    """Return the path of a `file:` URL, relative or absolute."""
    path = re.sub(r"^[A-Za-z]+:(//(localhost)?(?=/))?", "", url)
    return unquote(path)


def _underscored(path: str) -> str:
    return path.replace("/", "_")


def _is_sound(url: str) -> bool:
    """Whether every link of a URL has an authority that cannot be read in two ways."""
    for link, (scheme, authority) in zip(split_chain(url), origin(url), strict=True):
        if is_web(link) and not AUTHORITY.fullmatch(authority):
            return False
        if scheme and re.match(r"[^/]*//[^/?#]*[\s\\]", link):
            return False
    return True


def _place(name: str, line: Line) -> str:
    text = shown_location(line.text) if is_url(line.text) else printable(redact(line.text))
    return f"{name}, line {line.number}: {text[:100]!r}"
