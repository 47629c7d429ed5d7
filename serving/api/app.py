"""The ASGI application: dashboard, API, events, metrics and probes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from anyio import to_thread
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from starlette.middleware.cors import CORSMiddleware
from starlette.staticfiles import StaticFiles

from serving.answers.shape import Probe
from serving.api.access import LOCAL_NAMES, AccessMiddleware
from serving.api.events import EventSource
from serving.api.metrics import CONTENT_TYPE, MetricsCollector
from serving.api.pipelines import OpenPipelines, PipelineSwitch, ServedPipelines
from serving.api.poller import StatisticsPoller
from serving.api.problems import LastResort, add_problems, problem
from serving.api.redis_clients import AsyncRedisClient
from serving.api.routes import documents, sources, totals, words
from serving.api.routes import pipelines as pipelines_route
from serving.api.routes.context import PROBLEMS, ApiContext, context_of
from serving.document_queries import DocumentQueries
from serving.slices.queries import SliceQueries

PAGE = Path(__file__).parent.parent / "page"
DESCRIPTION = (
    "Live statistics of a wetstream pipeline. Every answer carries `as_of`: when and how far the topic has been "
    "counted. Every answer has an ETag made from it: send it as `If-None-Match`, and an unchanged answer costs nothing."
)
ADDRESSES: dict[str, Any] = {
    "openapi_url": "/api/v1/openapi.json",
    "docs_url": None,
    "redoc_url": None,
    "redirect_slashes": False,
}
REFUSED: dict[int | str, dict[str, Any]] = {status: PROBLEMS[status] for status in (400, 401)}
PROBE: dict[int | str, dict[str, Any]] = {**REFUSED, 503: {"model": Probe, "description": "not now, and why"}}
METRICS: dict[int | str, dict[str, Any]] = {
    **REFUSED,
    200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
}
EVENTS: dict[int | str, dict[str, Any]] = {
    **PROBLEMS,
    200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}},
}

router = APIRouter()


def make_app(
    poller: StatisticsPoller,
    documents_table: DocumentQueries | None = None,
    slices: SliceQueries | None = None,
    *,
    token: str = "",
    hosts: tuple[str, ...] = (),
    allow_origins: tuple[str, ...] = (),
    max_event_clients: int = 256,
    pipelines: ServedPipelines | None = None,
    at_root: str = "",
) -> FastAPI:
    """Make the ASGI application.

    Args:
        poller: Keeps the state to answer from; the application starts and stops it.
        documents_table: Answers questions about hosts and URLs.
        slices: Answers questions about parts of the corpus, and earlier points in time.
        token: Who sends it may read; empty: requests for local names may.
        hosts: Names under which requests are answered, beside the local ones.
        allow_origins: Origins whose pages may call the API.
        max_event_clients: Open event streams.
        pipelines: Other pipelines to show, below /pipelines/NAME/; None: this one alone.
        at_root: The pipeline at /, if this application is one of the others, which do not nest.
    """
    redis = AsyncRedisClient(poller.pipeline)
    opened = None if pipelines is None or at_root else OpenPipelines(pipelines)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.events = EventSource(poller, max_clients=max_event_clients)
        await to_thread.run_sync(poller.start)
        yield
        if opened is not None:
            await opened.close()
        await to_thread.run_sync(poller.stop)
        await redis.close()

    app = FastAPI(title="wetstream", version="1", description=DESCRIPTION, lifespan=lifespan, **ADDRESSES)
    names = None if pipelines is None else pipelines.names
    app.state.api = ApiContext(poller, redis, documents_table, slices, names, at_root)
    app.state.opened = opened
    app.state.metrics = MetricsCollector(poller, lambda: app.state.events.clients)
    if opened is not None:
        app.add_middleware(PipelineSwitch, opened=opened)
    app.add_middleware(LastResort)
    app.add_middleware(AccessMiddleware, token=token, hosts=(*LOCAL_NAMES, *hosts))
    _allow(app, allow_origins)
    add_problems(app)
    for part in (pipelines_route.router, totals.router, sources.router, words.router, documents.router, router):
        app.include_router(part)
    app.mount("/page", StaticFiles(directory=PAGE), name="page")
    return app


def _allow(app: FastAPI, origins: Sequence[str]) -> None:
    """Let the pages of other origins call the API."""
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(origins),
            allow_methods=["GET"],
            allow_headers=["Authorization", "If-None-Match"],
            expose_headers=["ETag"],
        )


@router.get(
    "/api/v1/events",
    summary="Live updates (server-sent events): the current state, then an event for each change",
    operation_id="events",
    response_class=StreamingResponse,
    responses=EVENTS,
)
async def events(request: Request) -> Response:
    """Answer with a stream of events that ends with the server."""
    source: EventSource = request.app.state.events
    if source.is_full:
        message = f"{source.max_clients} event streams are open: close one, or raise serve.max_connections"
        return problem(503, "too_many_clients", message, {"Retry-After": "5"})
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(source.stream(), media_type="text/event-stream", headers=headers)


@router.get("/health", response_model=Probe, responses=PROBE, summary="Whether this server is alive")
async def health() -> Any:
    """Answer 200 as long as requests are answered at all."""
    return {"status": "ok", "reason": None}


@router.get("/ready", response_model=Probe, responses=PROBE, summary="Whether its numbers are current")
async def ready(request: Request) -> Response:
    """Answer 503 when Redis cannot be read, nothing has been counted, or a background thread fails or hangs."""
    reason = context_of(request).poller.problem
    return JSONResponse({"status": "waiting" if reason else "ready", "reason": reason or None}, 503 if reason else 200)


@router.get("/metrics", response_class=Response, summary="Metrics for Prometheus", responses=METRICS)
async def metrics(request: Request) -> Response:
    """Answer in Prometheus' text format."""
    collector: MetricsCollector = request.app.state.metrics
    return Response(collector.text(), media_type=CONTENT_TYPE)


@router.get("/", include_in_schema=False)
async def page() -> FileResponse:
    """Answer with the dashboard."""
    return FileResponse(PAGE / "index.html", headers={"Cache-Control": "no-cache"})
