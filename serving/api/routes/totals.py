"""Totals, thresholds, document lengths, rejected records, and pages by language, domain and day."""

from __future__ import annotations

from fastapi import Request, Response

from serving.aggregates import Dimension
from serving.answers.totals import Days, Frequencies, Languages, LengthHistogram, Rejected, Stats, Tlds, VocabularySize
from serving.api.parameters import InSlice, InView, Limit, Offset
from serving.api.routes.context import context_of, get, make_router, slice_response
from serving.slices.slice import Slice

router = make_router()


@get(router, "/stats", Stats, "Totals, rejected records, document lengths; words and tokens under thresholds")
async def stats(request: Request, view: InView, chosen: InSlice) -> Response:
    """Only `words` and `tokens` are counted under the thresholds."""
    if chosen is not None:
        return await slice_response(request, chosen, lambda part: part.stats(view))
    api = context_of(request)
    _, aggregates = api.live
    return await api.responses.respond(request, aggregates.instant.version, lambda: aggregates.stats(view))


@get(router, "/vocabulary", VocabularySize, "Vocabulary size and tokens under any thresholds, exactly")
async def vocabulary(request: Request, view: InView, chosen: InSlice) -> Response:
    """`of_words` and `of_tokens` are counted without thresholds."""
    if chosen is not None:
        return await slice_response(request, chosen, lambda part: part.vocabulary_size(view))
    api = context_of(request)
    _, aggregates = api.live
    return await api.responses.respond(request, aggregates.instant.version, lambda: aggregates.vocabulary_size(view))


@get(router, "/vocabulary/frequencies", Frequencies, "Words and tokens by document frequency")
async def frequencies(request: Request, chosen: InSlice) -> Response:
    """The vocabulary size under any thresholds is a sum of these."""
    if chosen is not None:
        return await slice_response(request, chosen, lambda part: part.aggregates().frequencies())
    api = context_of(request)
    _, aggregates = api.live
    return await api.responses.respond(
        request, aggregates.instant.version, aggregates.frequencies, limiter=api.computations
    )


@get(router, "/lengths", LengthHistogram, "Document lengths in tokens: exact percentiles, histogram")
async def lengths(request: Request, chosen: InSlice) -> Response:
    """Percentile p is `sorted[int(p / 100 * documents)]`."""
    if chosen is not None:
        return await slice_response(request, chosen, lambda part: part.lengths())
    api = context_of(request)
    _, aggregates = api.live
    return await api.responses.respond(
        request, aggregates.instant.version, aggregates.length_histogram, limiter=api.computations
    )


@get(router, "/rejected", Rejected, "Rejected records by reason, most first")
async def rejected(request: Request, chosen: InSlice) -> Response:
    """Every record that was not kept has one reason."""
    if chosen is not None:
        return await slice_response(request, chosen, lambda part: part.rejected())
    api = context_of(request)
    _, aggregates = api.live
    return await api.responses.respond(request, aggregates.instant.version, aggregates.rejected)


@get(router, "/languages", Languages, "Pages and kept documents by language, most pages first")
async def languages(request: Request, chosen: InSlice, limit: Limit = 100, offset: Offset = 0) -> Response:
    """`name` is an ISO 639-3 code, or `unknown`."""
    return await _pages_by(request, "languages", chosen, limit, offset)


@get(router, "/tlds", Tlds, "Pages and kept documents by top-level domain, most pages first")
async def tlds(request: Request, chosen: InSlice, limit: Limit = 100, offset: Offset = 0) -> Response:
    """`name` is a top-level domain, `address` or `unknown`."""
    return await _pages_by(request, "tlds", chosen, limit, offset)


@get(router, "/days", Days, "Pages and kept documents by day of crawling, latest first")
async def days(request: Request, chosen: InSlice, limit: Limit = 100, offset: Offset = 0) -> Response:
    """`name` is a date (UTC), or `unknown`."""
    return await _pages_by(request, "days", chosen, limit, offset)


async def _pages_by(request: Request, dimension: Dimension, chosen: Slice | None, limit: int, offset: int) -> Response:
    if chosen is not None:
        return await slice_response(request, chosen, lambda part: part.pages_by(dimension, limit, offset))
    api = context_of(request)
    _, aggregates = api.live
    return await api.responses.respond(
        request, aggregates.instant.version, lambda: aggregates.pages_by(dimension, limit, offset)
    )
