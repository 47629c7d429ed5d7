"""Query parameters: their limits, and that unknown ones are refused instead of ignored."""

from __future__ import annotations

import difflib
from collections import Counter
from typing import Annotated, Any

from fastapi import Depends, Query, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BeforeValidator

from conf.plain_text import parse_number, parse_whole
from serving.slices.once import Once
from serving.slices.slice import Slice
from serving.view import View

# Dependencies are coroutines where functions would do: FastAPI calls functions in a thread, which takes longer.

MAX_OFFSET = 10_000_000
MAX_WORDS = 100
MAX_NAMES = 100

# FastAPI's own parsing also takes 1_6 and digits of other scripts.
Whole = Annotated[int, BeforeValidator(lambda value: parse_whole(value) if isinstance(value, str) else value)]
Number = Annotated[float, BeforeValidator(lambda value: parse_number(value) if isinstance(value, str) else value)]
Limit = Annotated[Whole, Query(ge=1, le=1_000, description="rows in the answer at most")]
Offset = Annotated[Whole, Query(ge=0, le=MAX_OFFSET, description="rows to skip")]
Text = Annotated[str, Query(max_length=200)]


async def view_of(
    min_df: Annotated[Whole, Query(ge=1, le=2**53, description="only words in at least this many documents")] = 1,
    max_df: Annotated[
        Number | None,
        Query(ge=0, le=1, allow_inf_nan=False, description="only words in less than this share of the documents"),
    ] = None,
) -> View:
    """Return the thresholds of a request."""
    return View(min_df, max_df)


InView = Annotated[View, Depends(view_of)]

Name = Annotated[str, Query(min_length=1, max_length=1_000)]


def _names(description: str) -> Any:
    return Query(max_length=MAX_NAMES, description=f"{description}; several: any of them")


async def slice_of(
    as_of: Annotated[
        Name | None,
        Query(
            description="a version of the documents table, a time (ISO 8601), or `after NAME` of a source or segment"
        ),
    ] = None,
    source: Annotated[list[Name], _names("only this source, by identity or a part of it")] = [],  # noqa: B006
    segment: Annotated[list[Name], _names("only this segment")] = [],  # noqa: B006
    crawl: Annotated[list[Name], _names("only this crawl")] = [],  # noqa: B006
    language: Annotated[list[Name], _names("only this language (ISO 639)")] = [],  # noqa: B006
    tld: Annotated[list[Name], _names("only this top-level domain")] = [],  # noqa: B006
    host: Annotated[list[Name], _names("only this host")] = [],  # noqa: B006
    day: Annotated[
        Name | None, Query(description="crawled on these days: 2016-12-03, or 2016-12-01..2016-12-03")
    ] = None,
    once: Annotated[Once | None, Query(description="count pages that come again once")] = None,
) -> Slice | None:
    """Return the part of the corpus that a request is about; None for the live statistics. Raises SliceError."""
    sources = [*source, *segment, *crawl]
    if not (as_of or sources or language or tld or host or day or once):
        return None
    return Slice.make(as_of, sources=sources, languages=language, tlds=tld, hosts=host, days=day, once=once)


InSlice = Annotated[Slice | None, Depends(slice_of)]


async def only_known(request: Request) -> None:
    """Refuse parameters that the address does not have, and single values that are given twice."""
    known: dict[str, bool] = {}
    pending = [request.scope["route"].dependant]
    while pending:
        dependant = pending.pop()
        pending += dependant.dependencies
        known |= {field.alias: "list" in str(field.field_info.annotation) for field in dependant.query_params}
    for name, times in Counter(name for name, _ in request.query_params.multi_items()).items():
        if name not in known:
            close = difflib.get_close_matches(name[:80], known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"known are: {', '.join(known) or 'none'}"
            _refuse(name, f"unknown parameter; {hint}")
        if times > 1 and not known[name]:
            _refuse(name, "given more than once")


def _refuse(name: str, message: str) -> None:
    raise RequestValidationError([{"loc": ("query", name), "msg": message, "type": "missing"}])
