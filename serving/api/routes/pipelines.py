"""The pipelines that this server shows."""

from __future__ import annotations

from anyio import to_thread
from fastapi import Request, Response
from fastapi.responses import JSONResponse

from serving.answers.pipelines import Pipelines
from serving.api.routes.context import context_of, get, make_router

router = make_router()


@get(router, "/pipelines", Pipelines, "Pipelines that this server shows, the one of this address, and the one at /")
async def pipelines(request: Request) -> Response:
    """The others are below /pipelines/NAME/, where every address of this description is found again."""
    api = context_of(request)
    names = [] if api.pipelines is None else await to_thread.run_sync(api.pipelines, limiter=api.table_queries)
    current = api.poller.pipeline
    answer: Pipelines = {
        "pipelines": sorted({*names, current}),
        "current": current,
        "at_root": api.at_root or current,
    }
    return JSONResponse(answer, headers={"Cache-Control": "no-store"})
