"""Sources with their progress, and what the stream has observed of itself."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Query, Request, Response

from serving.answers.sources import Batches, Growth, SourceGroups, Sources
from serving.api.live_state import BATCHES_SHOWN
from serving.api.parameters import Limit, Offset, Text, Whole
from serving.api.routes.context import context_of, get, make_router
from serving.source_groups import group_sources

router = make_router()


@get(router, "/sources", Sources, "Sources from file to statistics, with progress")
async def sources(request: Request, limit: Limit = 100, offset: Offset = 0, contains: Text = "") -> Response:
    """`contains`: only sources whose name contains this text."""
    api = context_of(request)
    state, aggregates = api.live

    def make() -> Sources:
        rows = [row for row in state.sources if contains in row["source"]]
        return {
            "sources": rows[offset : offset + limit],
            "total": len(rows),
            "as_of": aggregates.instant.as_of,
        }

    return await api.responses.respond(request, state.version, make)


@get(router, "/segments", SourceGroups, "Sources summed by segment, with progress")
async def segments(request: Request, limit: Limit = 100, offset: Offset = 0) -> Response:
    """Sources of no segment are `other sources`."""
    return await _groups(request, "segment", limit, offset)


@get(router, "/crawls", SourceGroups, "Sources summed by crawl, with progress")
async def crawls(request: Request, limit: Limit = 100, offset: Offset = 0) -> Response:
    """Sources of no crawl are `other sources`."""
    return await _groups(request, "crawl", limit, offset)


@get(router, "/batches", Batches, "The last micro-batches, newest first: why was one slow?")
async def batches(request: Request, limit: Annotated[Whole, Query(ge=1, le=BATCHES_SHOWN)] = 20) -> Response:
    """`seconds` has the time by phase."""
    api = context_of(request)
    state, aggregates = api.live

    def make() -> Batches:
        return {"batches": list(state.batches[:limit]), "as_of": aggregates.instant.as_of}

    return await api.responses.respond(request, state.version, make)


@get(router, "/growth", Growth, "Growth of the vocabulary with the tokens (Heaps' curve)")
async def growth(request: Request) -> Response:
    """The last point is now."""
    api = context_of(request)
    state, aggregates = api.live

    def make() -> Growth:
        return {"points": list(state.growth), "as_of": aggregates.instant.as_of}

    return await api.responses.respond(request, state.version, make)


async def _groups(request: Request, by: Literal["crawl", "segment"], limit: int, offset: int) -> Response:
    api = context_of(request)
    state, aggregates = api.live

    def make() -> SourceGroups:
        rows = group_sources(state.sources, by)
        return {
            "groups": rows[offset : offset + limit],
            "total": len(rows),
            "as_of": aggregates.instant.as_of,
        }

    return await api.responses.respond(request, state.version, make)
