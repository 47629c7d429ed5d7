"""Answers read from the documents table."""

from __future__ import annotations

from typing_extensions import TypedDict

from serving.answers.shape import Answer, exact


class FromTable(Answer):
    """Read from version `table_version` of the documents table; `as_of.positions` are those of that version."""

    table_version: int


@exact
class Host(TypedDict):
    """A host."""

    host: str
    pages: int
    documents: int
    tokens: int


@exact
class Hosts(FromTable):
    """Hosts with the most pages."""

    hosts: list[Host]


@exact
class Url(TypedDict):
    """A page; `reason` null: kept."""

    url: str
    source: str
    record_offset: int
    date: str | None
    language: str | None
    reason: str | None
    tokens: int


@exact
class Urls(FromTable):
    """Pages of a host, or of exactly one URL."""

    urls: list[Url]
