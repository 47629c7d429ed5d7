"""Pages that must not be kept, whatever source brings them: by URL, by host, or by a pattern of URLs.

A page that is taken down keeps its place: its row says only which record it was and that it was taken down. So the
records of a source still form a chain, the books still balance, and the row is the same whether the page was taken
down before it was processed or after.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

import can_ada
import pyarrow as pa
import pyarrow.compute as pc

from conf.errors import ExplainedError
from conf.reasons import TAKEN_DOWN
from sinks.documents.hosts import host_of
from sinks.documents.schema import DOCUMENTS

CLEARED = ("record_id", "url", "host", "date", "language", "language_method", "words", "counts")
"""Columns that say something about the page."""


class TakedownError(ExplainedError, ValueError):
    """A takedown that cannot be meant; the message says why and the remedy."""


class TakedownKind(StrEnum):
    """What the value of a takedown is."""

    URL = "url"
    HOST = "host"
    PATTERN = "pattern"


@dataclass(frozen=True, slots=True)
class Takedown:
    """Takes down the pages whose URL fits.

    Attributes:
        kind: What `value` is.
        value: A URL, compared in the URL Standard's normal form without its fragment; a host, with all hosts below it
            if it begins with a dot; or a regular expression in RE2 syntax that is searched for in the URL.
        removal: Number of the removal that applied it to the table; INHERITED for one of an earlier generation.
    """

    kind: TakedownKind
    value: str
    removal: int = 0

    @classmethod
    def make(cls, kind: TakedownKind, value: str) -> Self:
        """Check and normalise what a user wrote. Raises TakedownError."""
        match kind:
            case TakedownKind.URL:
                if host_of(value) is None:
                    raise TakedownError(f"{value} is no URL with a host: write it as in http://example.com/page")
                return cls(kind, normal_url(value))
            case TakedownKind.HOST:
                host = host_of(f"http://{value.removeprefix('.')}/")
                if host is None or any(letter in value for letter in "/?#@:\\ "):
                    raise TakedownError(
                        f"{value} is no host: write it as in example.com, or .example.com for all hosts below it too"
                    )
                return cls(kind, f".{host}" if value.startswith(".") else host)
        try:
            fits_all = pc.match_substring_regex(pa.array([""]), value)[0].as_py()
        except pa.ArrowInvalid as error:
            why = str(error).removeprefix("Invalid regular expression: ")
            raise TakedownError(f"{value} is no regular expression in RE2 syntax: {why}") from None
        if fits_all:
            raise TakedownError(f"the pattern {value!r} fits every URL, as it fits an empty text: write a narrower one")
        return cls(kind, value)


class TakedownMatcher:
    """Finds the pages that any of some takedowns fits."""

    def __init__(self, takedowns: Iterable[Takedown]) -> None:
        values: dict[TakedownKind, list[str]] = {kind: [] for kind in TakedownKind}
        for takedown in takedowns:
            values[takedown.kind].append(takedown.value)
        self._urls = set(values[TakedownKind.URL])
        self._hosts_of_urls = pa.array(sorted({host_of(url) or "" for url in self._urls}), pa.string())
        self._hosts = {host for host in values[TakedownKind.HOST] if not host.startswith(".")}
        self._domains = {host[1:] for host in values[TakedownKind.HOST] if host.startswith(".")}
        self._patterns = values[TakedownKind.PATTERN]

    def __bool__(self) -> bool:
        return bool(self._urls or self._hosts or self._domains or self._patterns)

    def match(self, urls: pa.Array, hosts: pa.Array) -> pa.BooleanArray:
        """Return the mask of the pages that are taken down.

        Args:
            urls: string [n], as the records have them; null: no URL, never taken down.
            hosts: string [n], of the URLs, as in the documents table.
        """
        found = pa.repeat(pa.scalar(False), len(urls))
        if self._hosts or self._domains:
            down = [host for host in pc.unique(hosts).to_pylist() if host is not None and self._host_fits(host)]
            found = pc.or_(found, pc.is_in(hosts, pa.array(down, pa.string())))
        if self._urls:
            # Only URLs of these hosts are parsed.
            at = pc.indices_nonzero(pc.is_in(hosts, self._hosts_of_urls)).to_pylist()
            fits = {i for i in at if (url := urls[i].as_py()) is not None and normal_url(url) in self._urls}
            if fits:
                found = pc.or_(found, pa.array([i in fits for i in range(len(urls))]))
        for pattern in self._patterns:
            found = pc.or_(found, pc.fill_null(pc.match_substring_regex(urls, pattern), False))
        return found

    def _host_fits(self, host: str) -> bool:
        if host in self._hosts or host in self._domains:
            return True
        labels = host.split(".")
        return any(".".join(labels[first:]) in self._domains for first in range(1, len(labels)))


def normal_url(url: str) -> str:
    """Return a URL in the URL Standard's normal form, without its fragment; one that is none as it is."""
    try:
        parsed = can_ada.parse(url)
    except ValueError:
        return url
    parsed.hash = ""
    return str(parsed.href)


def without_pages(rows: pa.Table, down: pa.BooleanArray) -> pa.Table:
    """Return documents rows with nothing left of the pages that are taken down but their place.

    Args:
        rows: Columns of DOCUMENTS, in one chunk each.
        down: Mask of the rows to clear.
    """
    at = pc.indices_nonzero(down)
    cleared = rows.take(at)
    n = len(at)
    for name in CLEARED:
        index, column = rows.schema.get_field_index(name), rows[name]
        cleared = cleared.set_column(index, rows.schema.field(name), pa.nulls(n, column.type))
    for name, value in (("reason", TAKEN_DOWN), ("tokens", 0)):
        index, field = rows.schema.get_field_index(name), rows.schema.field(name)
        cleared = cleared.set_column(index, field, pa.repeat(pa.scalar(value, field.type), n))
    others = pc.indices_nonzero(pc.invert(down))
    # In the order in which the rows were.
    order = pc.sort_indices(pa.concat_arrays([others, at]))
    return pa.concat_tables([rows.take(others), cleared]).unify_dictionaries().combine_chunks().take(order)


def plain(rows: pa.Table) -> pa.Table:
    """Return documents rows without dictionary encoding: a dictionary also holds the words of rows that are gone."""
    return rows.cast(DOCUMENTS)


def named(takedowns: Iterable[Takedown]) -> list[str]:
    """Name takedowns, as in `host example.com`."""
    return [f"{takedown.kind} {takedown.value}" for takedown in takedowns]
