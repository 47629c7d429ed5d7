"""What every address under /api/v1 needs: the state to answer from, and how its answers are described and sent."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Depends, Request, Response

from serving.aggregates import Aggregates
from serving.answers.shape import Problem
from serving.api.live_state import LiveState
from serving.api.parameters import only_known
from serving.api.poller import StatisticsPoller
from serving.api.problems import NotReadyError
from serving.api.redis_clients import AsyncRedisClient
from serving.api.responses import ResponseCache
from serving.atomic_read import NoStatisticsError
from serving.document_queries import DocumentQueries
from serving.slices.queries import SliceQueries
from serving.slices.slice import Slice, SliceError
from serving.slices.statistics import SliceStatistics
from serving.vocabulary_snapshot import VocabularySnapshot

COMPUTATIONS_AT_ONCE = 4
TABLE_QUERIES_AT_ONCE = 1

PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "unknown Host"},
    401: {"model": Problem, "description": "a token is required"},
    404: {"model": Problem, "description": "nothing has been counted yet"},
    422: {"model": Problem, "description": "a parameter is invalid"},
    503: {"model": Problem, "description": "Redis does not answer, or the server has just started; try again"},
}
UNCHANGED: dict[int | str, dict[str, Any]] = {304: {"description": "unchanged since that ETag"}}

Endpoint = TypeVar("Endpoint", bound=Callable[..., Coroutine[Any, Any, Response]])


@dataclass
class ApiContext:
    """The sources of all answers."""

    poller: StatisticsPoller
    redis: AsyncRedisClient
    documents: DocumentQueries | None
    slices: SliceQueries | None = None
    pipelines: Callable[[], list[str]] | None = None
    at_root: str = ""
    responses: ResponseCache = field(default_factory=ResponseCache)
    computations: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(COMPUTATIONS_AT_ONCE))
    table_queries: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(TABLE_QUERIES_AT_ONCE))

    @property
    def live(self) -> tuple[LiveState, Aggregates]:
        """The current state. Raises NotReadyError, NoStatisticsError."""
        state = self.poller.state
        if state.unavailable:
            raise NotReadyError(state.unavailable)
        if state.aggregates is None:
            raise NoStatisticsError(state.missing)
        return state, state.aggregates

    @property
    def snapshot(self) -> VocabularySnapshot:
        """The last snapshot of the vocabulary. Raises NotReadyError, NoStatisticsError."""
        _ = self.live
        if self.poller.copy_failure:
            raise NotReadyError(f"the vocabulary cannot be copied from Redis: {self.poller.copy_failure}")
        if self.poller.snapshot is None:
            raise NotReadyError("the first snapshot of the vocabulary is being taken")
        return self.poller.snapshot


async def slice_response(
    request: Request, chosen: Slice, make: Callable[[SliceStatistics], Mapping[str, Any]]
) -> Response:
    """Return the response to a request about a slice, which is counted from the documents table.

    Args:
        request: The request.
        chosen: The slice.
        make: Makes the answer of its statistics.

    Raises:
        SliceError: There is no such slice.
    """
    api = context_of(request)
    slices = api.slices
    if slices is None:
        raise SliceError("this server was started without the documents table: it answers about everything, now")
    part = await to_thread.run_sync(lambda: slices.statistics(chosen), limiter=api.table_queries)
    version = part.aggregates().instant.version
    return await api.responses.respond(request, version, lambda: make(part), limiter=api.computations)


def context_of(request: Request) -> ApiContext:
    """Return the context that the application was made with."""
    return cast("ApiContext", request.app.state.api)


def make_router() -> APIRouter:
    """Return a router for addresses under /api/v1 that refuses unknown parameters."""
    return APIRouter(prefix="/api/v1", dependencies=[Depends(only_known)])


def get(router: APIRouter, path: str, answer: Any, summary: str) -> Callable[[Endpoint], Endpoint]:
    """Decorate the endpoint of a path.

    Args:
        router: From `make_router`.
        path: Below /api/v1.
        answer: Type of the answer.
        summary: One line for the OpenAPI description.
    """
    name = path.strip("/").replace("/", "_").replace("{", "").replace("}", "")
    return router.get(
        path,
        responses={**PROBLEMS, **UNCHANGED, 200: {"model": answer}},
        response_class=Response,
        summary=summary,
        operation_id=name,
    )
