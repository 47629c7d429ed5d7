"""The answer about the pipelines of a server."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict  # pydantic needs this one before Python 3.12

from serving.answers.shape import exact


@exact
class Pipelines(TypedDict):
    """The pipelines that a server shows."""

    pipelines: Annotated[list[str], Field(description="names; all but `at_root` are below /pipelines/NAME/")]
    current: Annotated[str, Field(description="the one that this address is about")]
    at_root: Annotated[str, Field(description="the one that the server was started with")]
