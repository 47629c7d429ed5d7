"""Hosts and URLs, from the documents table. Between two commits an answer is kept like every other."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request, Response

from serving.answers.documents import Hosts, Urls
from serving.api.parameters import Limit, Offset, Text
from serving.api.problems import NotReadyError
from serving.api.routes.context import ApiContext, context_of, get, make_router
from serving.document_queries import DocumentQueries

router = make_router()


@get(router, "/hosts", Hosts, "Hosts with the most pages, from the documents table (slow on large ones)")
async def hosts(request: Request, limit: Limit = 20, offset: Offset = 0, contains: Text = "") -> Response:
    """`contains`: only hosts that contain this text."""
    api = context_of(request)
    state, aggregates = api.live
    documents = _documents(api)

    def make() -> Hosts:
        return documents.hosts(aggregates.instant.as_of, limit, offset, contains)

    return await api.responses.respond(request, state.version, make, limiter=api.table_queries)


@get(router, "/urls", Urls, "Pages of a host, or of exactly one URL, from the documents table")
async def urls(
    request: Request,
    of: Annotated[str, Query(min_length=1, max_length=4_000)],
    limit: Limit = 20,
    offset: Offset = 0,
) -> Response:
    """`of`: a host, or exactly one URL. Pages that were rejected have a `reason`."""
    api = context_of(request)
    state, aggregates = api.live
    documents = _documents(api)

    def make() -> Urls:
        return documents.urls(aggregates.instant.as_of, of, limit, offset)

    return await api.responses.respond(request, state.version, make, limiter=api.table_queries)


def _documents(api: ApiContext) -> DocumentQueries:
    if api.documents is None:
        raise NotReadyError("this server was started without the documents table")
    return api.documents
