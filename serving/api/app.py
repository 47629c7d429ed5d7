"""The application: page, API, events, metrics, probes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from starlette.middleware.cors import CORSMiddleware
from starlette.staticfiles import StaticFiles

from serving.api import models
from serving.api.access import LOCAL_NAMES, AccessMiddleware
from serving.api.events import Events
from serving.api.metrics import CONTENT_TYPE, MetricsCollector
from serving.api.poller import StatisticsPoller
from serving.api.problems import add_problems, problem
from serving.api.redis_clients import AsyncRedisClient
from serving.api.routes import REFUSALS, api
from serving.document_queries import DocumentQueries

PAGE = Path(__file__).parent.parent / "page"
DESCRIPTION = (
    "Live statistics of a wetstream pipeline. Every answer carries `as_of`: when and how far the topic is counted. "
    "An ETag made from it lets a client ask again for nothing (`If-None-Match`)."
)


def make_app(
    live: StatisticsPoller,
    table: DocumentQueries | None = None,
    *,
    token: str = "",
    hosts: tuple[str, ...] = (),
    allow_origins: tuple[str, ...] = (),
    max_event_clients: int = 256,
) -> FastAPI:
    """The ASGI application over `live`, which it starts and stops."""
    redis = AsyncRedisClient()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        live.start()
        app.state.events = Events(live)
        yield
        live.stop()
        await redis.close()

    app = FastAPI(
        title="wetstream",
        version="1",
        description=DESCRIPTION,
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.add_middleware(AccessMiddleware, token=token, hosts=(*LOCAL_NAMES, *hosts))
    if allow_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(allow_origins),
            allow_methods=["GET"],
            allow_headers=["Authorization", "If-None-Match"],
            expose_headers=["ETag"],
        )
    add_problems(app)
    app.include_router(api(live, redis, table))
    figures = MetricsCollector(live, lambda: app.state.events.clients)

    @app.get(
        "/api/v1/events",
        summary="Live updates (server-sent events): the present state, then one event a movement",
        operation_id="events",
        response_class=StreamingResponse,
        responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}, **REFUSALS},
    )
    async def events() -> Response:
        source: Events = app.state.events
        if source.clients >= max_event_clients:
            return problem(503, "too_many_clients", f"{max_event_clients} event streams are open", {"Retry-After": "5"})
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(source.stream(), media_type="text/event-stream", headers=headers)

    @app.get("/health", response_model=models.Probe, responses=_probe(), summary="Whether this server lives")
    async def health() -> Any:
        return {"status": "ok", "reason": None}

    @app.get("/ready", response_model=models.Probe, responses=_probe(), summary="Whether it can answer now")
    async def ready() -> Any:
        state = live.state
        reason = "Redis is away" if state.away else "nothing is counted yet" if state.missing else ""
        return JSONResponse(
            {"status": "waiting" if reason else "ready", "reason": reason or None}, 503 if reason else 200
        )

    @app.get("/metrics", response_class=Response, summary="Metrics for Prometheus", responses=_metrics())
    async def metrics() -> Response:
        return Response(figures.text(), media_type=CONTENT_TYPE)

    @app.get("/", include_in_schema=False)
    async def page(request: Request) -> FileResponse:
        return FileResponse(PAGE / "index.html", headers={"Cache-Control": "no-cache"})

    app.mount("/page", StaticFiles(directory=PAGE), name="page")
    return app


def _probe() -> dict[int | str, dict[str, Any]]:
    refused: dict[int | str, dict[str, Any]] = {status: REFUSALS[status] for status in (400, 401)}
    return {**refused, 503: {"model": models.Probe, "description": "not now, and why"}}


def _metrics() -> dict[int | str, dict[str, Any]]:
    refused: dict[int | str, dict[str, Any]] = {status: REFUSALS[status] for status in (400, 401)}
    return {**refused, 200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}
