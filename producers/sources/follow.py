"""Watching folders and listings for new sources: the continuous mode."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Sequence
from pathlib import Path

from conf.errors import ExplainedError
from conf.settings import ProducerSettings
from producers.report import Outcome, OutcomeState
from producers.sources.discover import DiscoverOptions, discover
from producers.sources.source import Source
from producers.sources.urls import is_url

log = logging.getLogger("wetstream")
# How many polls a source that could not be read is left alone.
FAILED_POLLS = 12
FileVersion = tuple[int, int]


class Follower:
    """Returns each source once it exists and is at rest, and again after its file has changed.

    A file written to less than `follow_rest_s` ago is left for a later poll. One that was taken too early all the same
    ends as truncated, and ingestion continues when it has grown. What is ingested is known from the progress markers,
    so following resumes after any stop. What cannot be read never holds up the rest: it is logged once, and tried
    again at the next poll.
    """

    def __init__(self, names: Sequence[str], options: DiscoverOptions, settings: ProducerSettings) -> None:
        self._names = names
        self._options = options
        self._settings = settings
        self._given: dict[str, FileVersion] = {}
        self._active: set[str] = set()
        self._not_before: dict[str, int] = {}
        self._polls = 0
        self._logged: set[str] = set()
        self._removed: frozenset[str] = frozenset()
        options.check()

    def leave_out(self, removed: Collection[str]) -> None:
        """Leave out sources that were removed: whoever wants one back ingests it by name."""
        self._removed = frozenset(removed)

    def poll(self) -> list[Source]:
        """Return the sources to ingest now."""
        self._polls += 1
        ready = []
        for source in self._discover():
            if source.problem is not None:
                self._log_once(f"{source.problem}; it is looked at again")
                continue
            if source.id in self._removed:
                self._log_once(
                    f"{source.name} was removed, and is left out; `wetstream ingest` with its name takes it in"
                )
                continue
            if source.id in self._active or self._not_before.get(source.id, 0) > self._polls:
                continue
            version = self._version(source)
            if version is not None and self._given.get(source.id) != version:
                self._given[source.id] = version
                self._active.add(source.id)
                ready.append(source)
        return ready

    def record_outcome(self, outcome: Outcome) -> None:
        """Take note of how a source ended that `poll` returned."""
        self._active.discard(outcome.source)
        if outcome.state is OutcomeState.FAILED:
            self._given.pop(outcome.source, None)
            self._not_before[outcome.source] = self._polls + FAILED_POLLS

    def _discover(self) -> list[Source]:
        try:
            return discover(
                self._names,
                options=self._options,
                settings=self._settings,
                keep_going=True,
                on_note=self._log_once,
            )
        except ExplainedError as error:
            self._log_once(f"{error}; it is looked at again")
            return []

    def _log_once(self, text: str) -> None:
        if text not in self._logged:
            self._logged.add(text)
            log.warning("%s", text)

    def _version(self, source: Source) -> FileVersion | None:
        """Size and modification time of a local file; None while it is not at rest. A remote one is there or not."""
        if is_url(source.location):
            return (0, 0)
        try:
            status = Path(source.location).stat()
        except OSError:
            return None
        at_rest = time.time() - status.st_mtime >= self._settings.follow_rest_s
        return (status.st_size, status.st_mtime_ns) if at_rest else None
