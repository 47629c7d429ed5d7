"""Errors as JSON: {error, message}; the message says what is wrong and what helps."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from redis import RedisError
from starlette.exceptions import HTTPException

from serving.atomic_read import NoStatisticsError

NAMES = {400: "bad_request", 401: "no_token", 404: "not_found", 405: "method_not_allowed", 503: "unavailable"}


class NotReadyError(Exception):
    """The answer needs something that is not there yet (the first snapshot), or that is away; asking again helps."""


def problem(status: int, error: str, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """An error's response."""
    return JSONResponse({"error": error, "message": message}, status, headers)


def add_problems(app: FastAPI) -> None:
    """Make every error that a request can meet a clear one."""

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:]) or "request"
        given = "" if first["type"] == "missing" else f" = {str(first.get('input'))[:80]!r}"
        return problem(422, "invalid", f"{where}{given}: {first['msg']}")

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> JSONResponse:
        text = "no such address; the API is described at /api/v1/openapi.json" if error.status_code == 404 else ""
        headers = dict(error.headers or {})
        return problem(error.status_code, NAMES.get(error.status_code, "error"), text or error.detail, headers)

    @app.exception_handler(NoStatisticsError)
    async def nothing(request: Request, error: NoStatisticsError) -> JSONResponse:
        return problem(404, "nothing_counted", str(error))

    @app.exception_handler(ValueError)
    async def too_much(request: Request, error: ValueError) -> JSONResponse:
        return problem(422, "not_ranked", str(error))

    @app.exception_handler(RedisError)
    async def away(request: Request, error: RedisError) -> JSONResponse:
        return problem(503, "redis_away", f"Redis does not answer: {error}", {"Retry-After": "1"})

    @app.exception_handler(NotReadyError)
    async def not_ready(request: Request, error: NotReadyError) -> JSONResponse:
        return problem(503, "not_ready", str(error), {"Retry-After": "1"})
