"""Which WET files to read and how, from options by name; Python and Spark share the names."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conf.plain_text import parse_whole
from conf.profiles import Profile, load_profile
from conf.settings import ProducerSettings, SettingsError, load_settings
from producers.sources.discover import DiscoverOptions, discover
from producers.sources.source import Source

log = logging.getLogger("wetstream")

SELECTION = ("base", "match", "offset", "limit")
READING = (
    "max_record_bytes",
    "verify_digests",
    "source_timeout_s",
    "source_retry_s",
    "allow_foreign_sources",
    "s3_anonymous",
    "s3_endpoint",
    "follow_rest_s",
)
NAMES = (*SELECTION, *READING, "profile")


@dataclass(frozen=True, slots=True)
class WetOptions:
    """Options of a read.

    Attributes:
        selection: Which of the files found are wanted.
        reading: How they are opened and read.
        profile: The rules by which pages are judged; None: they are not.
    """

    selection: DiscoverOptions
    reading: ProducerSettings
    profile: Profile | None

    @classmethod
    def parse(cls, given: Mapping[str, Any], more: Sequence[str] = ()) -> WetOptions:
        """Parse options, typed or as text.

        Args:
            given: Values by name: those of `--base`, `--match`, `--offset`, `--limit` and `--profile`, and settings of
                the section `producer` that are about reading.
            more: Names that the caller takes besides, for the error about an unknown one.

        Raises:
            SettingsError: A name is unknown, or a value is one that the option cannot have.
            ProfileError: The profile cannot be loaded.
        """
        for name in given:
            if name not in NAMES:
                near = difflib.get_close_matches(name, [*NAMES, *more], 1)
                hint = f"did you mean {near[0]}?" if near else f"use one of {', '.join([*NAMES, *more])}"
                raise SettingsError(f"reading WET files has no option {name}: {hint}")
        settings = load_settings(flags={f"producer.{name}": given.get(name) for name in READING})
        limit = given.get("limit")
        selection = DiscoverOptions(
            _text("base", given.get("base")),
            _text("match", given.get("match")),
            whole_number("offset", given.get("offset", 0)),
            None if limit is None else whole_number("limit", limit),
        )
        profile = given.get("profile")
        return cls(selection, settings.producer, None if profile is None else load_profile(str(profile)))

    def find(
        self, names: Sequence[str | Path], *, keep_going: bool = False, on_note: Callable[[str], None] = log.warning
    ) -> Iterator[Source]:
        """Yield the sources behind names, in order, with absolute paths. Raises what `discover` raises."""
        found = discover(
            [str(name) for name in names],
            options=self.selection,
            settings=self.reading,
            keep_going=keep_going,
            on_note=on_note,
        )
        for source in found:
            yield source.absolute()


def _text(name: str, value: object) -> str | None:
    if not isinstance(value, str | Path | None):
        raise SettingsError(f"{name} = {value!r} is no text")
    return None if value is None else str(value)


def whole_number(name: str, value: object, least: int = 0) -> int:
    """Parse an option that is a whole number. Raises SettingsError."""
    try:
        number = parse_whole(str(value))
    except ValueError:
        number = least - 1
    if number < least:
        raise SettingsError(f"{name} = {value!r} is no number of at least {least}: write one, as in {name} = 100")
    return number
