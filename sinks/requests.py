"""What the writer of a pipeline is asked to do between two micro-batches, by a command that runs beside it.

A request may be lost, with Redis or with the writer: whoever asks waits for the answer, and asks again or does it.
Doing it twice changes nothing.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from redis import Redis, RedisError

from sinks.keys import answer_key, requests_key

ANSWER_TTL_S = 600


@dataclass(frozen=True, slots=True)
class Request:
    """Take sources out; `ends`: (topic partition, offset behind their last record) by source."""

    ends: Mapping[str, tuple[int, int]]
    id: str = field(default_factory=lambda: uuid.uuid4().hex)


def send_request(client: Redis, pipeline: str, request: Request) -> None:
    """Ask the writer."""
    text = json.dumps({"id": request.id, "ends": request.ends})
    client.rpush(requests_key(pipeline), text)
    client.expire(requests_key(pipeline), ANSWER_TTL_S)


def take_request(client: Redis, pipeline: str) -> Request | None:
    """The next request, by the writer; None when there is none, or Redis is away."""
    try:
        text = cast("bytes | None", client.lpop(requests_key(pipeline)))
    except RedisError:
        return None
    if text is None:
        return None
    fields = json.loads(text)
    return Request({source: (end[0], end[1]) for source, end in fields["ends"].items()}, fields["id"])


def answer_request(client: Redis, pipeline: str, request: Request, records: int) -> None:
    """Say that it is done, and how many records it was."""
    key = answer_key(pipeline, request.id)
    client.rpush(key, records)
    client.expire(key, ANSWER_TTL_S)


def wait_for_answer(client: Redis, pipeline: str, request: Request, seconds: float) -> int | None:
    """The number of records that were taken out; None if there is no answer yet."""
    answer = cast("Any", client.blpop([answer_key(pipeline, request.id)], timeout=seconds))
    return int(answer[1]) if answer is not None else None
