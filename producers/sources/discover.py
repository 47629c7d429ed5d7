"""From what a user names (files, folders, globs, URLs, listings) to the sources, in a fixed order, each once."""

from __future__ import annotations

import fnmatch
import glob
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from conf.errors import ExplainedError, counted
from conf.settings import ProducerSettings, load_settings
from producers.sources.identity import is_wet_name, source_id
from producers.sources.listing import ListingError, read_listing
from producers.sources.listing_paths import ListingPaths, local_path
from producers.sources.local_files import NO_WET_FILES, LocalFiles
from producers.sources.source import Source
from producers.sources.stores import open_store
from producers.sources.urls import (
    CACHES,
    LOCAL,
    is_url,
    is_web,
    origin,
    path_of,
    public_url,
    redact,
    register_passwords,
    scheme_of,
    shown_location,
    split_chain,
)

log = logging.getLogger("wetstream")
LONGEST_ALIAS = 1_000
# How many examples a sentence about many sources names, and how many bad lines of a listing are reported singly.
EXAMPLES = 3
BAD_LINES = 20


class SourceNotFoundError(ExplainedError):
    """A named source does not exist or holds no WET file; the message names it and the remedy."""


@dataclass(frozen=True, slots=True)
class DiscoverOptions:
    """Where the files of a listing are, and which of the found sources are wanted.

    Attributes:
        base: Folder or URL that the paths of a listing are relative to; None: the listing's own folder.
        match: Part of the location or identity, or a pattern with * and ? for all of it.
        offset: How many of the matching sources to skip.
        limit: How many of the rest to take.
    """

    base: str | None = None
    match: str | None = None
    offset: int = 0
    limit: int | None = None

    def select(self, sources: list[Source]) -> list[Source]:
        """Return the selected sources, in the same order."""
        if self.match is not None:
            pattern = self.match if glob.has_magic(self.match) else f"*{self.match}*"
            sources = [
                source
                for source in sources
                if fnmatch.fnmatchcase(source.name, pattern) or fnmatch.fnmatchcase(source.id, pattern)
            ]
        end = None if self.limit is None else self.offset + self.limit
        return sources[self.offset : end]

    def check(self) -> None:
        """Refuse options that are given but empty, as from an unset shell variable."""
        for name, value in (("--base", self.base), ("--match", self.match)):
            if value is not None and not value.strip():
                raise SourceNotFoundError(f"{name} is empty: give it a value or leave it out")


def discover(
    names: Iterable[str],
    *,
    alias: str | None = None,
    options: DiscoverOptions | None = None,
    settings: ProducerSettings | None = None,
    keep_going: bool = False,
    on_note: Callable[[str], None] = log.warning,
) -> list[Source]:
    """Find the sources behind names.

    Args:
        names: Files (taken as they are), folders (every WET file below them), globs, URLs, listings.
        alias: Another identity for the one source found.
        options: Which of the sources are wanted.
        settings: How stores are opened; None for the defaults.
        keep_going: Return what cannot be taken as sources with a `problem`, and raise only if nothing else is found.
        on_note: Called with a sentence for everything that is left out though it is no error.

    Raises:
        SourceNotFoundError, ListingError, StoreError: Nothing was found, or part of it cannot be taken.
    """
    settings = load_settings(environ={}).producer if settings is None else settings
    options = options or DiscoverOptions()
    options.check()
    finding = _Finding(options, settings)
    for name in names:
        finding.add(name)
    if options.base is not None and not finding.listings and not finding.failures:
        raise SourceNotFoundError("--base says where the files of a listing are, but no listing is among the sources")
    if finding.failures and not (keep_going and finding.found):
        raise finding.failure()
    for note in finding.notes():
        on_note(note)
    sources = options.select(list(finding.found.values()))
    if finding.found and not sources:
        raise SourceNotFoundError(
            f"none of {counted(len(finding.found), 'source')} is left by --match, --offset and --limit"
        )
    if alias is not None:
        if len(sources) != 1:
            raise SourceNotFoundError(f"--as names one source, but {len(sources)} were found: name one file")
        sources = [replace(sources[0], id=checked_alias(alias))]
    return [*sources, *finding.failed_sources()]


def checked_alias(alias: str) -> str:
    """Return an identity that a user chose. Raises SourceNotFoundError if it cannot be one."""
    if not alias.strip() or not alias.isprintable() or len(alias) > LONGEST_ALIAS or alias != alias.strip():
        raise SourceNotFoundError(
            f"--as {ascii(alias)[:80]} is no name for a source: it needs 1 to {LONGEST_ALIAS:,} printable characters, "
            "and no space at its ends"
        )
    return alias


class _Finding:
    """What is found so far, by identity; and what went wrong."""

    def __init__(self, options: DiscoverOptions, settings: ProducerSettings) -> None:
        self._options = options
        self._settings = settings
        self._notes: list[str] = []
        self._same: list[tuple[Source, Source]] = []
        self.found: dict[str, Source] = {}
        self.failures: list[tuple[str, ExplainedError]] = []
        self.listings = 0

    def add(self, name: str) -> None:
        """Add the sources behind a name."""
        try:
            for file in self._files(name):
                self._add_file(file)
        except ExplainedError as error:
            self.failures.append((name, error))

    def notes(self) -> Iterator[str]:
        """Everything that is left out though it is no error, a sentence each."""
        yield from dict.fromkeys(self._notes)
        if self._same:
            examples = "; ".join(f"{second.name} (as {first.name})" for first, second in self._same[:EXAMPLES])
            more = f"; and {len(self._same) - EXAMPLES:,} more" if len(self._same) > EXAMPLES else ""
            yield (
                f"left out, since another file named here has the same identity: {examples}{more}. Ingest each alone "
                "with --as NAME if they are different"
            )

    def failure(self) -> ExplainedError:
        """All failures as one error, of the kind of the first."""
        texts = list(dict.fromkeys(str(error) for _, error in self.failures))
        more = f"; and {len(texts) - EXAMPLES:,} more" if len(texts) > EXAMPLES else ""
        return type(self.failures[0][1])("; ".join(texts[:EXAMPLES]) + more)

    def failed_sources(self) -> Iterator[Source]:
        """The failures as sources, so that each is reported beside the others' outcomes."""
        taken = set(self.found)
        for number, (name, error) in enumerate(self.failures, 1):
            shown = shown_location(name)
            identity = f"{shown} ({number})" if shown in taken or not shown.strip() else shown
            taken.add(identity)
            yield Source(identity, name, problem=str(error))

    def _files(self, name: str) -> Iterator[str]:
        if not name.strip():
            raise SourceNotFoundError("'' is no source: a name is empty (an unset variable?)")
        if scheme_of(name) in LOCAL or name.lower().startswith("file:/"):
            name = local_path(name)
        if is_url(name):
            register_passwords(name)
            yield from self._remote(name)
            return
        local = LocalFiles()
        yield from local.find(name)
        self._notes += local.notes
        self.failures += [(path, SourceNotFoundError(text)) for path, text in local.problems]

    def _add_file(self, file: str) -> None:
        # Only what is not called a WET file is looked into; of a wrong kind the reader says what it is.
        if is_wet_name(path_of(file) if is_url(file) else file):
            self._add(Source(source_id(file), file))
            return
        try:
            listing = read_listing(file, self._settings)
        except OSError as error:
            why = redact(str(error.strerror or error))
            raise SourceNotFoundError(f"{shown_location(file)} cannot be read: {why}") from error
        if listing is None:
            self._add(Source(source_id(file), file))
            return
        self.listings += 1
        bad: list[tuple[str, str]] = []
        for listed in ListingPaths(file, self._options.base, self._settings).resolve(listing):
            if listed.error is not None:
                bad.append((f"{listing.name}, line {listed.line}", listed.error))
            else:
                self._add(Source(source_id(listed.location), listed.location, confined=is_url(file)))
        self.failures += [(name, ListingError(text)) for name, text in bad[:BAD_LINES]]
        if len(bad) > BAD_LINES:
            text = f"{listing.name}: {counted(len(bad) - BAD_LINES, 'more line', 'more lines')} of it cannot be used"
            self.failures.append((file, ListingError(text)))

    def _add(self, source: Source) -> None:
        first = self.found.setdefault(source.id, source)
        if first is not source and first.uri != source.uri:
            self._same.append((first, source))

    def _remote(self, url: str) -> list[str]:
        """A URL as it is; for a folder (ending in /) or a glob of a store that can list, the WET files there."""
        path = path_of(url)
        folder = path.endswith("/")
        magic = not is_web(url) and ("*" in path or "[" in path)
        if not folder and not magic:
            return [url]
        shown = public_url(url)
        links = split_chain(url)
        caches = [link for link in links if link in CACHES]
        wrapped = "::".join(links[len(caches) :])
        fs, place = open_store(wrapped, self._settings)
        try:
            if not folder and fs.exists(place):
                return [url]
            found = fs.find(place) if folder else fs.glob(place)
        except FileNotFoundError:
            found = []
        except Exception as error:
            why = redact(f"{type(error).__name__}: {error}")
            raise SourceNotFoundError(f"{shown} cannot be listed: {why}") from error
        rest = links[len(caches) + 1 :]
        files = [
            "::".join([*caches, fs.unstrip_protocol(file), *rest])
            for file in sorted(found)
            if is_wet_name(path_of(file))
        ]
        if is_web(url):
            # The links of a page; those that lead elsewhere are not what is in the folder.
            files = [file for file in files if origin(file) == origin(url)]
        if not files:
            raise SourceNotFoundError(f"{shown}: {NO_WET_FILES} there")
        return files
