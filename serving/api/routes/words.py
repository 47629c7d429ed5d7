"""Words: the most frequent ones, look-ups, and what the snapshot of the vocabulary answers."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Query, Request, Response

from serving.answers.words import FoundWords, OneWord, Top, Words, Zipf
from serving.api.parameters import MAX_WORDS, InSlice, InView, Limit, Offset, Text
from serving.api.routes.context import ApiContext, context_of, get, make_router, slice_response
from serving.top_words import RankBy
from serving.vocabulary_snapshot import WordOrder
from serving.word_lookup import look_up_words_async
from sinks.keys import Keys

router = make_router()

WordText = Annotated[str, Query(max_length=200)]


@get(router, "/zipf", Zipf, "Rank-frequency curve, from the last snapshot")
async def zipf(request: Request, view: InView, chosen: InSlice) -> Response:
    """Points are evenly spread over the logarithm of the rank."""
    if chosen is not None:
        return await slice_response(request, chosen, lambda part: part.snapshot().zipf(view))
    api = context_of(request)
    snapshot = api.snapshot
    return await api.responses.respond(
        request, f"{snapshot.taken}", lambda: snapshot.zipf(view), limiter=api.computations
    )


@get(router, "/words/top", Top, "The most frequent words, by term or document frequency")
async def top(
    request: Request, view: InView, chosen: InSlice, limit: Limit = 20, offset: Offset = 0, by: RankBy = "tf"
) -> Response:
    """As many words as are kept ranked (setting redis.top_words)."""
    if chosen is not None:
        return await slice_response(request, chosen, lambda part: part.top(limit, view, by=by, offset=offset))
    api = context_of(request)
    state, aggregates = api.live
    version, at_hand = aggregates.instant.version, api.poller.top_words_at_hand(state)

    def make() -> Top:
        return (at_hand or api.poller.read_top_words(version)).top(limit, view, by=by, offset=offset)

    limiter = api.computations if at_hand is None else None
    return await api.responses.respond(request, version, make, limiter=limiter)


@get(router, "/words/bottom", FoundWords, "The least frequent words, from the last snapshot")
async def bottom(request: Request, view: InView, chosen: InSlice, limit: Limit = 20, offset: Offset = 0) -> Response:
    """By tf, then df, both ascending, then by word."""
    if chosen is not None:
        return await slice_response(request, chosen, lambda part: part.snapshot().bottom(limit, view, offset))
    api = context_of(request)
    snapshot = api.snapshot
    return await api.responses.respond(
        request, f"{snapshot.taken}", lambda: snapshot.bottom(limit, view, offset), limiter=api.computations
    )


@get(router, "/words/search", FoundWords, "Words by prefix or part, in order, page by page; from the last snapshot")
async def search(
    request: Request,
    view: InView,
    chosen: InSlice,
    prefix: Text = "",
    contains: Text = "",
    by: WordOrder = "tf",
    limit: Limit = 20,
    offset: Offset = 0,
) -> Response:
    """By `tf` or `df` descending, then by word; or by `word`. Case does not matter."""
    if chosen is not None:
        return await slice_response(
            request,
            chosen,
            lambda part: part.snapshot().search(by, limit, offset, view, prefix=prefix, contains=contains),
        )
    api = context_of(request)
    snapshot = api.snapshot

    def make() -> FoundWords:
        return snapshot.search(by, limit, offset, view, prefix=prefix, contains=contains)

    return await api.responses.respond(request, f"{snapshot.taken}", make, limiter=api.computations)


@get(router, "/words", Words, "Several words at one instant: tf, df, idf, rank")
async def several(
    request: Request, chosen: InSlice, word: Annotated[list[WordText], Query(min_length=1, max_length=MAX_WORDS)]
) -> Response:
    """Unseen words have zeros."""
    if chosen is not None:
        return await slice_response(request, chosen, lambda part: part.words(word))
    api = context_of(request)
    state, aggregates = api.live
    return await api.responses.respond(request, state.version, lambda: _look_up(api, word, aggregates.keys))


@get(router, "/words/{word}", OneWord, "One word: tf, df, idf, rank")
async def one(request: Request, chosen: InSlice, word: Annotated[str, Path(min_length=1, max_length=200)]) -> Response:
    """An unseen word has zeros. For `top`, `bottom` and `search` use `/words?word=…`."""
    if chosen is not None:
        return await slice_response(request, chosen, lambda part: part.word(word))
    api = context_of(request)
    state, aggregates = api.live

    async def make() -> OneWord:
        answer = await _look_up(api, [word], aggregates.keys)
        return {**answer["words"][0], "as_of": answer["as_of"]}

    return await api.responses.respond(request, state.version, make)


async def _look_up(api: ApiContext, words: list[str], keys: Keys) -> Words:
    """Look up words; words that Redis does not keep ranked get their rank from the last snapshot."""
    answer = await look_up_words_async(await api.redis.at(api.poller.servers), api.poller.pipeline, words, keys)
    snapshot = api.poller.snapshot
    for row in answer["words"]:
        if row["rank"] is None and row["tf"] and snapshot is not None:
            row["rank"] = snapshot.rank(row["word"])
    return answer
