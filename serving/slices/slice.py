"""A part of the corpus, at a point in time."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date
from typing import Self

from conf.errors import ExplainedError
from conf.languages import three_letters
from serving.export.document_filter import source_matches
from serving.slices.once import Once

NOW = "now"
AFTER = "after "
# What each key of a slice written as text fills; a segment and a crawl are parts of the identity of a source.
KEYS = {
    "as-of": "as_of",
    "source": "sources",
    "segment": "sources",
    "crawl": "sources",
    "language": "languages",
    "tld": "tlds",
    "host": "hosts",
    "day": "days",
    "once": "once",
}


class SliceError(ExplainedError, ValueError):
    """A slice that cannot be had; the message says why, and how slices are written."""


@dataclass(frozen=True, slots=True)
class Days:
    """Days of crawling, both included."""

    first: date
    last: date

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse `2016-12-03` or `2016-12-01..2016-12-03`. Raises SliceError."""
        first, dots, last = text.partition("..")
        try:
            days = cls(_day(first), _day(last if dots else first))
        except ValueError:
            raise SliceError(f"{text} is no day: write 2016-12-03, or 2016-12-01..2016-12-03") from None
        if days.last < days.first:
            raise SliceError(f"{text} ends before it begins: write the earlier day first")
        return days

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}..{self.last}"


def _day(text: str) -> date:
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
        raise ValueError(text)
    return date.fromisoformat(text)


@dataclass(frozen=True, slots=True)
class Slice:
    """Which records of the documents table are counted. Several values of one field are alternatives.

    Attributes:
        as_of: Version of the documents table, as a number; a time in ISO 8601 (UTC where it has no zone); `after NAME`:
            when all that the table holds of a source, segment or crawl was in it; or `now`.
        sources: Identities of sources, or segments or crawls in them.
        languages: ISO 639 codes, or `unknown`.
        tlds: Top-level domains as the statistics have them (also `address`, `unknown`).
        hosts: Hosts, each exactly.
        days: Days of crawling.
        once: Count pages that come again in these documents once; None: each time.
    """

    as_of: str = NOW
    sources: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    tlds: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    days: Days | None = None
    once: Once | None = None

    @classmethod
    def make(
        cls,
        as_of: str | int | None = None,
        *,
        sources: Sequence[str] = (),
        languages: Sequence[str] = (),
        tlds: Sequence[str] = (),
        hosts: Sequence[str] = (),
        days: str | None = None,
        once: str | None = None,
    ) -> Self:
        """Make a slice of what people write, as in `parse`. Raises SliceError."""
        if once is not None and once not in list(Once):
            raise SliceError(f"{once} is no way to count pages once: write {', '.join(Once)}")
        return cls(
            NOW if as_of is None else str(as_of),
            tuple(dict.fromkeys(sources)),
            tuple(dict.fromkeys(three_letters(code) for code in languages)),
            tuple(dict.fromkeys(tld.lower().lstrip(".") for tld in tlds)),
            tuple(dict.fromkeys(host.lower() for host in hosts)),
            None if days is None else Days.parse(days),
            None if once is None else Once(once),
        )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse `now`, or KEY=VALUE,KEY=VALUE… as in `segment=1480698540409.8,language=deu`. Raises SliceError."""
        found: dict[str, list[str]] = {name: [] for name in KEYS.values()}
        if text != NOW:
            for part in re.split(rf",(?=(?:{'|'.join(KEYS)})=)", text):
                key, _, value = part.partition("=")
                if key not in KEYS or not value:
                    raise SliceError(
                        f"{text} is no slice: write `now`, or KEY=VALUE with one of {', '.join(KEYS)} (several with "
                        "commas), as in segment=1480698540409.8,language=deu"
                    )
                found[KEYS[key]].append(value)
        for name in ("as_of", "days", "once"):
            if len(found[name]) > 1:
                raise SliceError(f"{text} names {' and '.join(found[name])}: a slice has one of these")
        return cls.make(
            next(iter(found["as_of"]), None),
            sources=found["sources"],
            languages=found["languages"],
            tlds=found["tlds"],
            hosts=found["hosts"],
            days=next(iter(found["days"]), None),
            once=next(iter(found["once"]), None),
        )

    def with_identities(self, identity: Callable[[str], str]) -> Self:
        """Return the slice with each name of a source replaced by what `identity` makes of it."""
        as_of = self.as_of
        if as_of.startswith(AFTER):
            as_of = AFTER + identity(as_of.removeprefix(AFTER).strip())
        return replace(self, as_of=as_of, sources=tuple(map(identity, self.sources)))

    def __str__(self) -> str:
        names = {field: key for key, field in reversed(KEYS.items())}
        parts = [] if self.as_of == NOW else [f"as-of={self.as_of}"]
        for field in fields(self)[1:]:
            value = getattr(self, field.name)
            values = () if value is None else value if isinstance(value, tuple) else (value,)
            parts += [f"{names[field.name]}={each}" for each in values]
        return ",".join(parts) or NOW

    def condition(self, known_sources: Sequence[str]) -> str:
        """Return the slice as a condition in DuckDB's SQL on rows of the documents table; `tld_of` is a macro.

        It does not say which rows count `once`.

        Args:
            known_sources: The sources that the table holds.

        Raises:
            SliceError: It names a source that the table does not hold.
        """
        conditions = []
        if self.sources:
            chosen: set[str] = set()
            for entry in self.sources:
                matching = [source for source in known_sources if source_matches(entry, source)]
                if not matching:
                    raise SliceError(f"no source of the documents matches {entry}: `wetstream segments` lists them")
                chosen.update(matching)
            conditions.append(f"source in ({_literals(sorted(chosen))})")
        if self.languages:
            conditions.append(f"coalesce(language, 'unknown') in ({_literals(self.languages)})")
        if self.tlds:
            conditions.append(f"tld_of(host) in ({_literals(self.tlds)})")
        if self.hosts:
            conditions.append(f"host in ({_literals(self.hosts)})")
        if self.days is not None:
            first, last = f"{self.days.first} 00:00:00Z", f"{self.days.last} 23:59:59.999999Z"
            conditions.append(f"date between timestamptz '{first}' and timestamptz '{last}'")
        return " and ".join(conditions) or "true"


def _literals(values: Sequence[str]) -> str:
    for value in values:
        if "\0" in value:
            raise SliceError("a name holds a NUL character, which no record has")
    return ", ".join("'" + value.replace("'", "''") + "'" for value in values)
