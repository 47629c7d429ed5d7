"""The addresses under /api/v1: the questions of `serving.queries`, as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from serving.aggregates import SEEN, Aggregates
from serving.api import models
from serving.api.parameters import MAX_WORDS, InView, Limit, Offset, Text, only_known
from serving.api.poller import LiveState, StatisticsPoller
from serving.api.problems import NotReadyError
from serving.api.redis_clients import AsyncRedisClient
from serving.api.responses import ResponseCache
from serving.atomic_read import NoStatisticsError
from serving.document_queries import DocumentQueries, as_of_table
from serving.source_groups import group_sources
from serving.vocabulary_snapshot import VocabularySnapshot
from serving.word_lookup import look_up_words_async
from sinks.keys import Keys

REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": models.Problem, "description": "unknown Host"},
    401: {"model": models.Problem, "description": "token needed"},
    404: {"model": models.Problem, "description": "nothing is counted yet"},
    422: {"model": models.Problem, "description": "a parameter is wrong"},
    503: {"model": models.Problem, "description": "Redis is away, or the server has just started; ask again"},
}
UNCHANGED: dict[int | str, dict[str, Any]] = {304: {"description": "unchanged since that ETag"}}


def api(live: StatisticsPoller, redis: AsyncRedisClient, table: DocumentQueries | None) -> APIRouter:
    """The router. All answers carry an ETag made from `as_of`, and from what else is
    in them: the producers' markers, what the stream observes of itself, or the last snapshot.
    """
    router = APIRouter(prefix="/api/v1", dependencies=[Depends(only_known)])
    answers = ResponseCache()

    def get(path: str, model: Any, summary: str) -> Any:
        responses: dict[int | str, dict[str, Any]] = {**REFUSALS, **UNCHANGED, 200: {"model": model}}
        name = path.strip("/").replace("/", "_").replace("{", "").replace("}", "").replace(":path", "")
        return router.get(path, responses=responses, response_class=Response, summary=summary, operation_id=name)

    def here() -> tuple[LiveState, Aggregates]:
        state = live.state
        if state.away:
            raise NotReadyError(f"Redis does not answer: {state.away}")
        if state.reading is None:
            raise NoStatisticsError(state.missing)
        return state, state.reading

    def copied() -> VocabularySnapshot:
        here()
        if live.snapshot is None:
            raise NotReadyError("the first snapshot of the vocabulary is being taken")
        return live.snapshot

    def part(rows: list[Any], name: str, limit: int, offset: int, reading: Aggregates) -> Mapping[str, Any]:
        return {name: rows[offset : offset + limit], "total": len(rows), "as_of": reading.as_of.answer}

    @get("/stats", models.Stats, "Totals, rejected records, percentiles of lengths; words and tokens under a view")
    async def stats(request: Request, view: InView) -> Response:
        _, reading = here()
        return await answers.give(request, reading.as_of.version, lambda: reading.stats(view))

    @get("/vocabulary", models.VocabularySize, "Vocabulary size and tokens under any thresholds, exactly")
    async def vocabulary(request: Request, view: InView) -> Response:
        _, reading = here()
        return await answers.give(request, reading.as_of.version, lambda: reading.vocabulary(view))

    @get("/vocabulary/frequencies", models.Frequencies, "Words and tokens by document frequency")
    async def frequencies(request: Request) -> Response:
        _, reading = here()
        return await answers.give(request, reading.as_of.version, reading.frequencies, asks=True)

    @get("/lengths", models.Histogram, "Document lengths in tokens: exact percentiles, histogram")
    async def lengths(request: Request) -> Response:
        _, reading = here()
        return await answers.give(request, reading.as_of.version, reading.length_histogram, asks=True)

    @get("/rejected", models.Rejected, "Rejected records by reason")
    async def rejected(request: Request) -> Response:
        _, reading = here()
        return await answers.give(request, reading.as_of.version, reading.rejected)

    def add_seen(what: str) -> None:
        @get(f"/{what}", models.SEEN_PAGES[what], f"Pages and kept documents by {what}, most pages first")
        async def seen(request: Request, limit: Limit = 100, offset: Offset = 0) -> Response:
            _, reading = here()
            make = lambda: part(reading.seen(what), what, limit, offset, reading)  # noqa: E731
            return await answers.give(request, reading.as_of.version, make)

    for what in SEEN:
        add_seen(what)

    @get("/sources", models.SourcesPage, "Sources from file to statistic, with progress")
    async def sources(request: Request, limit: Limit = 100, offset: Offset = 0, contains: Text = "") -> Response:
        state, reading = here()
        rows = [row for row in state.sources if contains in row["source"]]
        return await answers.give(request, state.version, lambda: part(rows, "sources", limit, offset, reading))

    def add_groups(path: str, by: str) -> None:
        @get(path, models.GroupsPage, f"Sources summed by {by}, with progress")
        async def groups(request: Request, limit: Limit = 100, offset: Offset = 0) -> Response:
            state, reading = here()
            make = lambda: part(group_sources(state.sources, by), "groups", limit, offset, reading)  # noqa: E731
            return await answers.give(request, state.version, make)

    add_groups("/segments", "segment")
    add_groups("/crawls", "crawl")

    @get("/batches", models.Batches, "The last micro-batches, newest first: why was one slow?")
    async def batches(request: Request, limit: Annotated[int, Query(ge=1, le=120)] = 20) -> Response:
        state, reading = here()
        make = lambda: {"batches": state.batches[:limit], "as_of": reading.as_of.answer}  # noqa: E731
        return await answers.give(request, state.version, make)

    @get("/growth", models.Growth, "Growth of the vocabulary with the tokens (Heaps' curve)")
    async def growth(request: Request) -> Response:
        state, reading = here()
        make = lambda: {"points": state.growth, "as_of": reading.as_of.answer}  # noqa: E731
        return await answers.give(request, state.version, make)

    @get("/zipf", models.Zipf, "Rank-frequency curve, from the last snapshot")
    async def zipf(request: Request, view: InView) -> Response:
        snapshot = copied()
        return await answers.give(request, f"{snapshot.taken}", lambda: snapshot.zipf(view), asks=True)

    @get("/words/top", models.Top, "The most frequent words, by term or document frequency")
    async def top(
        request: Request, view: InView, limit: Limit = 20, offset: Offset = 0, by: Literal["tf", "df"] = "tf"
    ) -> Response:
        state, reading = here()
        version, at_hand = reading.as_of.version, live.ranking_at_hand(state)

        def make() -> Mapping[str, Any]:
            return (at_hand or live.ranking(version)).top(limit, view, by=by, offset=offset)

        return await answers.give(request, version, make, asks=at_hand is None)

    @get("/words/bottom", models.Found, "The least frequent words, from the last snapshot")
    async def bottom(request: Request, view: InView, limit: Limit = 20, offset: Offset = 0) -> Response:
        snapshot = copied()
        return await answers.give(request, f"{snapshot.taken}", lambda: snapshot.bottom(limit, view, offset), asks=True)

    @get("/words/search", models.Found, "Words by prefix or part, sorted, page by page; from the last snapshot")
    async def search(
        request: Request,
        view: InView,
        prefix: Text = "",
        contains: Text = "",
        by: Literal["tf", "df", "word"] = "tf",
        limit: Limit = 20,
        offset: Offset = 0,
    ) -> Response:
        snapshot = copied()

        def make() -> Mapping[str, Any]:
            return snapshot.page(by, limit, offset, view, prefix=prefix, contains=contains)

        return await answers.give(request, f"{snapshot.taken}", make, asks=True)

    async def look_up(wanted: list[str], keys: Keys) -> dict[str, Any]:
        answer = await look_up_words_async(await redis.at(live.url), live.pipeline, wanted, keys)
        for row in answer["words"]:
            if row["rank"] is None and row["tf"] and live.snapshot is not None:
                row["rank"] = live.snapshot.rank(row["word"])
        return answer

    @get("/words", models.Words, "Several words at one instant: tf, df, idf, rank")
    async def several(
        request: Request,
        word: Annotated[list[Annotated[str, Query(max_length=200)]], Query(min_length=1, max_length=MAX_WORDS)],
    ) -> Response:
        state, reading = here()
        return await answers.give(request, state.version, lambda: look_up(word, reading.keys))

    @get("/words/{word}", models.OneWord, "One word: tf, df, idf, rank")
    async def one(request: Request, word: Annotated[str, Path(min_length=1, max_length=200)]) -> Response:
        state, reading = here()

        async def make() -> Mapping[str, Any]:
            answer = await look_up([word], reading.keys)
            return {**answer["words"][0], "as_of": answer["as_of"]}

        return await answers.give(request, state.version, make)

    def tabled() -> tuple[DocumentQueries, LiveState, Aggregates]:
        state, reading = here()
        if table is None:
            raise NotReadyError("this server was started without the documents table")
        return table, state, reading

    # The documents table is read for these; between two commits the answer is kept like all others.
    @get("/hosts", models.Hosts, "Hosts with the most pages, from the documents table (slow on large ones)")
    async def hosts(request: Request, limit: Limit = 20, offset: Offset = 0, contains: Text = "") -> Response:
        asked, state, reading = tabled()
        make = lambda: as_of_table(asked.hosts(limit, offset, contains), reading.as_of)  # noqa: E731
        return await answers.give(request, state.version, make, asks=True)

    @get("/urls", models.Urls, "Pages of a host, or of exactly one URL, from the documents table")
    async def urls(
        request: Request,
        of: Annotated[str, Query(min_length=1, max_length=4_000)],
        limit: Limit = 20,
        offset: Offset = 0,
    ) -> Response:
        asked, state, reading = tabled()
        make = lambda: as_of_table(asked.urls(of, limit, offset), reading.as_of)  # noqa: E731
        return await answers.give(request, state.version, make, asks=True)

    return router
