"""From what a person names (files, folders, globs, URLs, listings) to the sources, in a fixed order, each once."""

from __future__ import annotations

import fnmatch
import glob
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from conf.errors import ExplainedError
from conf.settings import ProducerSettings, load_settings
from producers.sources.identity import SUFFIXES, source_id
from producers.sources.listing import default_base, read_listing
from producers.sources.source import Source
from producers.sources.stores import open_store
from producers.sources.urls import is_url, public_url


class SourceNotFoundError(ExplainedError):
    """A named source does not exist or holds no WET file; the message names it and the remedy."""


@dataclass(frozen=True, slots=True)
class DiscoverOptions:
    """Which of the found sources are meant.

    `match`: a part of the location, or a pattern with * and ? for all of it. `offset`, `limit`: of those, how many to
    leave out at the front, and how many to take. `base`: where the files of a listing are, if not beside it.
    """

    base: str | None = None
    match: str | None = None
    offset: int = 0
    limit: int | None = None

    def select(self, sources: list[Source]) -> list[Source]:
        """The selected sources, in the same order."""
        if self.match is not None:
            pattern = self.match if glob.has_magic(self.match) else f"*{self.match}*"
            sources = [
                source
                for source in sources
                if fnmatch.fnmatchcase(source.name, pattern) or fnmatch.fnmatchcase(source.id, pattern)
            ]
        end = None if self.limit is None else self.offset + self.limit
        return sources[self.offset : end]


def discover(
    names: Iterable[str],
    *,
    alias: str | None = None,
    options: DiscoverOptions | None = None,
    settings: ProducerSettings | None = None,
) -> list[Source]:
    """The sources behind `names`: files as they are, folders with every WET file below them, globs, URLs, listings.

    `alias` gives a single file another identity. Raises SourceNotFoundError, ListingError, StoreError.
    """
    settings = load_settings(environ={}).producer if settings is None else settings
    options = options or DiscoverOptions()
    found: dict[str, Source] = {}
    listings = 0
    for name in names:
        for location, listed in _locations(name, options, settings):
            listings += listed
            source = Source(source_id(location), location)
            found.setdefault(source.id, source)
    if options.base is not None and not listings:
        raise SourceNotFoundError("--base says where the files of a listing are, but no listing is among the sources")
    sources = options.select(list(found.values()))
    if found and not sources:
        raise SourceNotFoundError(f"none of {len(found):,} sources is left by --match, --offset and --limit")
    if alias is not None:
        if len(sources) != 1:
            raise SourceNotFoundError(f"--as names one source, but {len(sources)} were found: name one file")
        return [Source(alias, sources[0].location)]
    return sources


def _locations(name: str, options: DiscoverOptions, settings: ProducerSettings) -> Iterator[tuple[str, bool]]:
    """The locations behind a name, and whether a listing gave them."""
    if urlsplit(name).scheme == "file":
        name = unquote(urlsplit(name).path)
    files = _remote(name, settings) if is_url(name) else [str(path) for path in _paths(name)]
    for file in files:
        lines = None
        # Only what is not called a WET file is looked into; of a wrong kind the reader says what it is.
        if not urlsplit(file).path.endswith(SUFFIXES) and not Path(file).name.endswith(SUFFIXES):
            try:
                lines = read_listing(file, settings)
            except OSError as error:
                raise SourceNotFoundError(
                    f"{public_url(file) if is_url(file) else file} cannot be read: {error.strerror or error}"
                ) from error
        if lines is None:
            yield file, False
        else:
            for location in _listed(lines, options.base or default_base(file), settings):
                yield location, True


def _listed(lines: list[str], base: str, settings: ProducerSettings) -> Iterator[str]:
    """Where the files of a listing are: below `base`, as named or with underscores for the slashes (as in P2.1)."""
    base = base.rstrip("/")
    remote = is_url(base)
    underscores = False
    for number, line in enumerate(lines):
        if is_url(line) or line.startswith("/"):
            yield line
            continue
        plain, mapped = f"{base}/{line}", f"{base}/{line.replace('/', '_')}"
        if not remote:
            underscores = not Path(plain).exists() and Path(mapped).exists()
        elif number == 0 and "/" in line:
            # Asked once: a store has all of them one way or the other.
            underscores = not _exists(plain, settings) and _exists(mapped, settings)
        yield mapped if underscores else plain


def _exists(url: str, settings: ProducerSettings) -> bool:
    fs, path = open_store(url, settings)
    try:
        return bool(fs.exists(path))
    except Exception:  # whatever is wrong there is said when the file is read
        return False


def _remote(url: str, settings: ProducerSettings) -> list[str]:
    """A URL as it is; for a folder (ending in /) or a glob of a store that can list, the WET files there."""
    path = urlsplit(url).path if "::" not in url else url
    folder, magic = path.endswith("/"), glob.has_magic(path) and not url.startswith("http")
    if not folder and not magic:
        return [url]
    fs, place = open_store(url, settings)
    try:
        found = fs.find(place) if folder else fs.glob(place)
    except FileNotFoundError:
        found = []
    except Exception as error:
        raise SourceNotFoundError(f"{public_url(url)} cannot be listed: {type(error).__name__}: {error}") from error
    files = sorted(fs.unstrip_protocol(file) for file in found if file.endswith(SUFFIXES))
    if not files:
        raise SourceNotFoundError(f"{public_url(url)}: no WET files (*.wet.gz, *.wet, *.wet.zst) there")
    return files


def _paths(name: str) -> list[Path]:
    path = Path(name).expanduser()
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.name.endswith(SUFFIXES) and file.is_file())
        if not files:
            raise SourceNotFoundError(f"{name}: no WET files (*.wet.gz, *.wet, *.wet.zst) in this folder or below it")
        return files
    if path.exists():
        return [path]
    # glob, not Path.glob: the pattern may be absolute, and a user means what the shell means by it.
    matched = [Path(match) for match in sorted(glob.glob(str(path), recursive=True))]  # noqa: PTH207
    files = [file for match in matched for file in (_paths(str(match)) if match.is_dir() else [match])]
    if not files:
        what = "nothing matches this pattern" if glob.has_magic(name) else "no such file or folder"
        raise SourceNotFoundError(f"{name}: {what}; give WET files, folders of them, a quoted glob, URLs or a listing")
    return files
