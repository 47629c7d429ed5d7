"""Watching folders and listings for new sources: the continuous mode."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path

from conf.settings import ProducerSettings
from producers.report import Outcome, OutcomeState
from producers.sources.discover import DiscoverOptions, SourceNotFoundError, discover
from producers.sources.listing import ListingError
from producers.sources.source import Source
from producers.sources.urls import is_url

log = logging.getLogger("wetstream")
# How many looks a source that could not be read is left alone.
FAILED_LOOKS = 12
FileVersion = tuple[int, int]


class Follower:
    """Gives each source once when it is there and rests, and again when its file has changed afterwards.

    A file that was written to less than `follow_rest_s` ago is left for a later look; one that was taken too early all
    the same ends as cut off, and is carried on when it has grown. What is ingested is known by the progress markers,
    so following goes on after any stop where it was.
    """

    def __init__(self, names: Sequence[str], options: DiscoverOptions, settings: ProducerSettings) -> None:
        self._names = names
        self._options = options
        self._settings = settings
        self._given: dict[str, FileVersion] = {}
        self._active: set[str] = set()
        self._later: dict[str, int] = {}
        self._looks = 0
        self._said = ""

    def poll(self) -> list[Source]:
        """The sources to ingest now. Raises StoreError."""
        self._looks += 1
        try:
            sources = discover(self._names, options=self._options, settings=self._settings)
        except SourceNotFoundError:
            return []  # nothing there yet
        except ListingError as error:
            # A listing that is just being written; it is looked at again.
            if str(error) != self._said:
                log.warning("%s; looking at it again", error)
                self._said = str(error)
            return []
        ready = []
        for source in sources:
            if source.id in self._active or self._later.get(source.id, 0) > self._looks:
                continue
            state = self._state(source)
            if state is not None and self._given.get(source.id) != state:
                self._given[source.id] = state
                self._active.add(source.id)
                ready.append(source)
        return ready

    def record_outcome(self, outcome: Outcome) -> None:
        """What became of a source that was given."""
        self._active.discard(outcome.source)
        if outcome.state is OutcomeState.FAILED:
            self._given.pop(outcome.source, None)
            self._later[outcome.source] = self._looks + FAILED_LOOKS

    def _state(self, source: Source) -> FileVersion | None:
        """Size and time of change of a local file; None while it does not rest. A remote one is there or not."""
        if is_url(source.location):
            return (0, 0)
        try:
            status = Path(source.location).stat()
        except OSError:
            return None
        rests = time.time() - status.st_mtime >= self._settings.follow_rest_s
        return (status.st_size, status.st_mtime_ns) if rests else None
