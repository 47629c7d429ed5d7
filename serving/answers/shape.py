"""What every answer has in common: the state of its numbers, and the thresholds it was asked under.

Answers are typed dictionaries: the same objects are returned to Python, printed by `--json` and sent over HTTP, and the
OpenAPI description is made from their types.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict  # pydantic needs this one before Python 3.12

# Answers have exactly the declared fields: a client can rely on them, and tests compare answers with their types.
exact = with_config(ConfigDict(extra="forbid"))


@exact
class AsOf(TypedDict):
    """State of the numbers."""

    time: Annotated[float | None, Field(description="time of the last commit, Unix seconds")]
    positions: Annotated[dict[str, int], Field(description="next offset by topic partition")]
    lag: Annotated[int | None, Field(description="offsets of the topic beyond `positions`; null if no stream runs")]
    applying: Annotated[bool, Field(description="word counts of an unfinished micro-batch run ahead of the totals")]
    streaming: Annotated[bool, Field(description="whether a stream is running")]


@exact
class SnapshotAsOf(AsOf):
    """State of a vocabulary snapshot."""

    taken: Annotated[float, Field(description="when the snapshot was complete, Unix seconds")]


@exact
class Thresholds(TypedDict):
    """Words counted: min_df <= document frequency < max_df x documents."""

    min_df: int
    max_df: float | None


class Answer(TypedDict):
    """Every answer carries the state of its numbers."""

    as_of: AsOf


class Page(Answer):
    """Part of a list of `total` rows."""

    total: int


@exact
class Problem(TypedDict):
    """An error."""

    error: str
    message: str


@exact
class Probe(TypedDict):
    """Result of a health or readiness check."""

    status: str
    reason: str | None
