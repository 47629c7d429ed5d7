"""Requests of other commands to the running writer of a pipeline, which handles them between two micro-batches.

A request may be lost with Redis or with the writer. The sender therefore waits for the answer, and otherwise sends it
again or does the work itself; requests are idempotent.
"""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from redis import Redis, RedisError

from sinks.documents.takedowns import Takedown, TakedownKind
from sinks.keys import answer_key, requests_key

log = logging.getLogger("wetstream")

ANSWER_TTL_S = 600


@dataclass(frozen=True, slots=True)
class Request:
    """Removal of sources or pages.

    Attributes:
        ends: By source, the topic partition and the offset behind its last record.
        takedowns: Pages to take down.
        id: Names the answer.
    """

    ends: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    takedowns: Sequence[Takedown] = ()
    id: str = field(default_factory=lambda: uuid.uuid4().hex)


def send_request(client: Redis, pipeline: str, request: Request) -> None:
    """Send a request to the writer."""
    # A writer that does not know takedowns refuses a request without `ends`, instead of ignoring half of it.
    work = {"ends": request.ends} if request.ends else {}
    pages = {"takedowns": [[each.kind, each.value] for each in request.takedowns]} if request.takedowns else {}
    text = json.dumps({"id": request.id, **work, **pages})
    client.rpush(requests_key(pipeline), text)
    client.expire(requests_key(pipeline), ANSWER_TTL_S)


def take_request(client: Redis, pipeline: str) -> Request | None:
    """Take the next request; None if there is none, or Redis is away."""
    try:
        text = cast("bytes | None", client.lpop(requests_key(pipeline)))
    except RedisError:
        return None
    if text is None:
        return None
    try:
        fields = json.loads(text)
        ends = {source: (int(end[0]), int(end[1])) for source, end in fields.get("ends", {}).items()}
        takedowns = tuple(Takedown(TakedownKind(kind), str(value)) for kind, value in fields.get("takedowns", ()))
        return Request(ends, takedowns, str(fields["id"]))
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        log.warning("Redis key %s held something that is no request; it was dropped", requests_key(pipeline))
        return None


def answer_request(client: Redis, pipeline: str, request: Request, records: int) -> None:
    """Answer a request: it is done, and removed so many records."""
    key = answer_key(pipeline, request.id)
    client.rpush(key, records)
    client.expire(key, ANSWER_TTL_S)


def wait_for_answer(client: Redis, pipeline: str, request: Request, seconds: float) -> int | None:
    """Wait for the answer, the number of records removed or taken down; None if there is none after so many seconds."""
    answer = cast("Any", client.blpop([answer_key(pipeline, request.id)], timeout=seconds))
    return int(answer[1]) if answer is not None else None
