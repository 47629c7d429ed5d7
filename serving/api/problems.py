"""Errors as JSON, {error, message}: the message says what is wrong and what helps."""

from __future__ import annotations

import logging

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from redis import RedisError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from conf.errors import ExplainedError
from serving.api.responses import AnswerTooLargeError, BusyError
from serving.atomic_read import NoStatisticsError
from serving.background import describe
from serving.slices.slice import SliceError
from serving.top_words import NotRankedError
from serving.unreadable import DocumentsUnreadableError
from sinks.documents.errors import DamagedFileError
from sinks.statistics.errors import StatisticsError

log = logging.getLogger("wetstream")

NAMES = {400: "bad_request", 401: "no_token", 404: "not_found", 405: "method_not_allowed", 503: "unavailable"}
TRY_AGAIN = {"Retry-After": "1"}


class NotReadyError(ExplainedError):
    """The answer needs something that does not exist yet (the first snapshot) or does not answer; try again."""


# By type, most specific first: status, name, and whether trying again may help.
EXPLAINED: tuple[tuple[type[Exception], int, str, bool], ...] = (
    (NoStatisticsError, 404, "nothing_counted", False),
    (NotRankedError, 422, "not_ranked", False),
    (SliceError, 422, "no_such_slice", False),
    (AnswerTooLargeError, 422, "answer_too_large", False),
    (BusyError, 503, "busy", True),
    (NotReadyError, 503, "not_ready", True),
    (StatisticsError, 503, "statistics_corrupt", False),
    (DocumentsUnreadableError, 503, "documents_unreadable", False),
    (DamagedFileError, 503, "documents_unreadable", False),
    (ExplainedError, 503, "unavailable", True),
)


def problem(status: int, error: str, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """Return the response that describes an error."""
    return JSONResponse({"error": error, "message": message}, status, headers)


def add_problems(app: FastAPI) -> None:
    """Answer every error that a request can meet with a problem."""

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(part)[:80] for part in first["loc"][1:]) or "request"
        given = "" if first["type"] == "missing" else f" = {str(first.get('input'))[:80]!r}"
        return problem(422, "invalid", f"{where}{given}: {first['msg']}")

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> JSONResponse:
        text = "no such address; the API is described at /api/v1/openapi.json" if error.status_code == 404 else ""
        headers = dict(error.headers or {})
        return problem(error.status_code, NAMES.get(error.status_code, "error"), text or error.detail, headers)

    @app.exception_handler(RedisError)
    async def redis_away(request: Request, error: RedisError) -> JSONResponse:
        return problem(503, "redis_away", f"Redis does not answer: {error}", TRY_AGAIN)

    async def explained(request: Request, error: Exception) -> JSONResponse:
        status, name, again = next((s, n, a) for kind, s, n, a in EXPLAINED if isinstance(error, kind))
        return problem(status, name, str(error), TRY_AGAIN if again else None)

    for kind, *_ in EXPLAINED:
        app.add_exception_handler(kind, explained)


class LastResort:
    """ASGI middleware that answers and logs unexpected errors in one line instead of a traceback."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        started = False

        async def send_noted(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, send_noted)
        except Exception as error:
            log.error(
                "a request to %s failed (%s)",
                str(scope.get("path", ""))[:200].encode("ascii", "backslashreplace").decode(),
                describe(error),
                exc_info=log.isEnabledFor(logging.DEBUG),
            )
            if not started:  # else the server closes the connection: the response cannot be completed
                response = problem(500, "internal_error", "the server failed to answer this; its log says why")
                await response(scope, receive, send)
